#include "harness/mhc_cases.h"

#include <fmt/format.h>

#include <cstring>
#include <map>

#include "harness/fp8_outputs.h"

namespace birkhoff::harness {
namespace {

constexpr Fp8Format kE8M0 = {32, Fp8Scale::kE8M0};
constexpr Fp8Format kF32Wide = {128, Fp8Scale::kF32};
constexpr Fp8Format kPowerOfTwo = {128, Fp8Scale::kPowerOfTwo};

constexpr MhcShape kShapes[] = {
    {0, 4, 64, kBF16, 20, false},
    {1, 4, 5, kF32, 20, false},
    {3, 4, 72, kBF16, 1, false},
    {17, 2, 160, kBF16, 3, false},
    {2, 8, 250, kF32, 20, false},
    {5, 8, 256, kBF16, 20, false},
    {33, 4, 256, kF32, 20, false},
    {16, 4, 250, kBF16, 20, false},
    {1, 4, 4096, kBF16, 20, true},
    {18, 4, 4096, kBF16, 20, true},
    {130, 4, 4096, kBF16, 20, false},
    {57, 4, 7168, kBF16, 20, false},
    {200, 4, 5120, kBF16, 20, false},
    {17, 4, 160, kBF16, 20, false, MhcRows::kPadded},
    {3, 2, 250, kF32, 3, false, MhcRows::kPadded},
    {18, 4, 96, kBF16, 20, false, MhcRows::kOneStream},
    {5, 8, 70, kF32, 20, false, MhcRows::kOneStream},
    {17, 4, 160, kBF16, 20, false, MhcRows::kPacked, kE8M0},
    {3, 2, 250, kBF16, 3, false, MhcRows::kPacked, kF32Wide},
    {9, 8, 70, kBF16, 20, false, MhcRows::kPadded, kPowerOfTwo, true},
    {9, 4, 7168, kBF16, 20, false, MhcRows::kPacked, kF32Wide},
    {70, 4, 5120, kBF16, 20, false, MhcRows::kPacked, kPowerOfTwo},
    {140, 4, 4096, kBF16, 20, false, MhcRows::kPacked, kE8M0, true},
};

std::string_view Name(MhcRows layout) {
  return layout == MhcRows::kPacked ? "" : layout == MhcRows::kPadded ? " padded" : " one stream";
}

// Benchmarks on a GPU, at the widths of the released models. Up to kDenseTokens all are there for
// those who look for cliffs.
constexpr std::int64_t kBenchWidths[] = {4096, 5120, 7168};
constexpr std::int64_t kDenseTokens = 256;
constexpr std::int64_t kBenchTokens[] = {1,   2,   4,   8,   16,  17,   32,   33,   64,   65,   96,
                                         128, 192, 256, 320, 512, 1024, 2048, 4096, 8192, 16384};
constexpr std::int64_t kFp8BenchTokens[] = {1, 64, 256, 1024, 4096};

// `count` rows of H, `step` elements apart, with poison between; `step` of one row to the next.
void* Spread(Buffers& buffers, const MhcShape& s, const void* rows, std::int64_t count,
             std::int64_t step) {
  auto* to = static_cast<std::byte*>(buffers.Bytes(ByteSize(s.type, count * step)));
  const auto* from = static_cast<const std::byte*>(rows);
  for (std::int64_t i = 0; i < count; ++i)
    std::memcpy(to + ByteSize(s.type, i * step), from + ByteSize(s.type, i * s.hidden),
                static_cast<std::size_t>(ByteSize(s.type, s.hidden)));
  return to;
}

}  // namespace

std::string MhcShape::name() const {
  std::string name = fmt::format("T={} hc={} H={} {} iterations={}{}", tokens, hc, hidden,
                                 Short(type), iterations, Name(layout));
  if (fp8.group != 0)
    name += fmt::format(" {}fp8/{} {}", only_fp8 ? "" : "and ", fp8.group, Name(fp8.scale));
  return name;
}

std::vector<std::pair<std::string, std::int64_t>> MhcShape::dims() const {
  if (fp8.group == 0) return {{"H", hidden}, {"T", tokens}};
  return {{"H", hidden}, {"T", tokens}, {"fp8", fp8.group}};
}

std::span<const MhcShape> MhcShapes() { return kShapes; }

std::vector<MhcShape> MhcBenchShapes() {
  std::vector<MhcShape> shapes;
  for (const std::int64_t hidden : kBenchWidths) {
    const auto add = [&](std::int64_t tokens, bool dense, Fp8Format fp8 = {}) {
      shapes.push_back({.tokens = tokens,
                        .hidden = hidden,
                        .bench = true,
                        .fp8 = fp8,
                        .only_fp8 = fp8.group != 0,
                        .dense = dense});
    };
    std::int64_t next = 1;
    for (const std::int64_t tokens : kBenchTokens) {
      for (; next < tokens && next <= kDenseTokens; ++next) add(next, true);
      add(tokens, false);
      next = tokens + 1;
    }
    for (const std::int64_t tokens : kFp8BenchTokens) {
      add(tokens, false, {128, Fp8Scale::kF32});
      add(tokens, false, {32, Fp8Scale::kE8M0});
    }
  }
  return shapes;
}

void* MhcStreamValues(Buffers& buffers, const MhcShape& s) {
  void* streams = buffers.Values(s.stream_elements(), s.type, 1.0, 0.1);
  for (std::int64_t i = 0; i < s.stream_elements(); ++i) {
    const auto factor = static_cast<float>(1 << (i / s.hidden % s.hc % 4));
    if (s.type == kF32) {
      static_cast<float*>(streams)[i] *= factor;
    } else {
      bf16& x = static_cast<bf16*>(streams)[i];
      x = bf16(static_cast<float>(x) * factor);
    }
  }
  return streams;
}

const void* LayStreams(Buffers& buffers, const MhcShape& s, void* packed) {
  if (s.layout == MhcRows::kPacked) return packed;
  if (s.layout == MhcRows::kPadded)
    return Spread(buffers, s, packed, s.tokens * s.hc, s.strides().stream);
  auto* bytes = static_cast<std::byte*>(packed);
  const auto row = static_cast<std::size_t>(ByteSize(s.type, s.hidden));
  auto* first = static_cast<std::byte*>(buffers.Bytes(ByteSize(s.type, s.tokens * s.hidden)));
  for (std::size_t t = 0; t < static_cast<std::size_t>(s.tokens); ++t) {
    std::byte* token = bytes + t * static_cast<std::size_t>(s.hc) * row;
    std::memcpy(first + t * row, token, row);
    for (std::size_t j = 1; j < static_cast<std::size_t>(s.hc); ++j)
      std::memcpy(token + j * row, token, row);
  }
  return Spread(buffers, s, first, s.tokens, s.strides().token);
}

const void* LayX(Buffers& buffers, const MhcShape& s, const void* packed) {
  if (s.layout != MhcRows::kPadded) return packed;
  return Spread(buffers, s, packed, s.tokens, s.strides().x);
}

const float* MhcFn(Buffers& buffers, std::int64_t rows, const MhcShape& s) {
  return buffers.Floats(rows * s.k(), 1.2 / std::sqrt(static_cast<double>(s.k())));
}

MhcSite MhcSiteValues(Buffers& buffers, const MhcShape& s) {
  MhcSite site;
  site.fn = MhcFn(buffers, s.rows(), s);
  site.base = buffers.Floats(s.rows(), 1.0);
  site.scale = buffers.Floats(3, 0.1, 0.9);
  site.iterations = s.iterations;
  return site;
}

MhcBounds AddCoefficients(Buffers& buffers, const MhcShape& s, MhcArithmetic arithmetic,
                          const void* streams, const MhcSite& site, std::vector<Output>& to) {
  const MhcBounds bounds(streams, s.type, s.hc, s.hidden, site.fn, site.base, site.rms_eps,
                         arithmetic);
  const std::int64_t hc = s.hc;
  const auto pre = [=](std::int64_t i, double) {
    return bounds.Sigmoid(i / hc, i % hc, site.scale[0]);
  };
  const auto post = [=](std::int64_t i, double) {
    return site.post_mult * bounds.Sigmoid(i / hc, hc + i % hc, site.scale[1]);
  };
  const auto comb = [=, known = std::map<std::int64_t, double>()](std::int64_t i,
                                                                  double expected) mutable {
    const std::int64_t token = i / (hc * hc);
    const auto [it, is_new] = known.try_emplace(token, 0);
    if (is_new) it->second = bounds.Comb(token, site.scale[2], site.iterations);
    return it->second * std::abs(expected);
  };
  to.push_back(NewOutput(buffers, "pre", kF32, s.tokens * hc, pre));
  to.push_back(NewOutput(buffers, "post", kF32, s.tokens * hc, post));
  to.push_back(NewOutput(buffers, "comb", kF32, s.tokens * hc * hc, comb));
  return bounds;
}

double CollapseError(const MhcShape& s, const void* streams, const float* pre, std::int64_t i) {
  double terms = 0;
  for (std::int64_t j = 0; j < s.hc; ++j) {
    const std::int64_t token = i / s.hidden;
    const double x = Value(streams, s.type, (token * s.hc + j) * s.hidden + i % s.hidden);
    terms += std::abs(pre[token * s.hc + j] * x);
  }
  return static_cast<double>(s.hc + 2) * kF32Eps * terms;
}

}  // namespace birkhoff::harness
