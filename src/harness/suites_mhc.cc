#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "harness/mhc_bounds.h"
#include "harness/problems.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

enum class Layout : std::uint8_t {
  kPacked,
  kPadded,     // gaps between rows of x, streams and tokens
  kOneStream,  // one row stands for all streams, as before the first layer
};

struct MhcShape {
  std::int64_t tokens = 0;
  std::int64_t hc = 4;
  std::int64_t hidden = 0;
  DType type = kBF16;
  int iterations = 20;
  bool bench = false;
  Layout layout = Layout::kPacked;

  MhcLayout strides() const {
    if (layout == Layout::kPadded) return {hidden + 40, hc * (hidden + 16), hidden + 16};
    if (layout == Layout::kOneStream) return {0, hidden + 24, 0};
    return {};
  }
  std::int64_t rows() const { return hc * (hc + 2); }
  std::int64_t k() const { return hc * hidden; }
  std::int64_t stream_elements() const { return tokens * hc * hidden; }
  double stream_bytes() const { return static_cast<double>(ByteSize(type, stream_elements())); }
  double row_bytes() const { return static_cast<double>(ByteSize(type, tokens * hidden)); }
  double coefficient_bytes() const { return 4.0 * static_cast<double>(tokens * hc * (hc + 2)); }
  double fn_bytes() const { return 4.0 * static_cast<double>(rows() * k()); }
  double projection_flops() const { return 2.0 * static_cast<double>(tokens * rows() * k()); }
  double mix_flops() const { return 2.0 * static_cast<double>(stream_elements() * (hc + 1)); }

  std::shared_ptr<Buffers> NewBuffers() const {
    return std::make_shared<Buffers>(static_cast<std::uint64_t>(tokens * 8191 + hidden * 16 + hc));
  }
};

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
    {17, 4, 160, kBF16, 20, false, Layout::kPadded},
    {3, 2, 250, kF32, 3, false, Layout::kPadded},
    {18, 4, 96, kBF16, 20, false, Layout::kOneStream},
    {5, 8, 70, kF32, 20, false, Layout::kOneStream},
};

std::string_view Name(Layout layout) {
  return layout == Layout::kPacked ? "" : layout == Layout::kPadded ? " padded" : " one stream";
}

// Benchmarks on a GPU, at the widths of the released models. Up to kDenseTokens all are there for
// those who look for cliffs.
constexpr std::int64_t kBenchWidths[] = {4096, 5120, 7168};
constexpr std::int64_t kDenseTokens = 256;
constexpr std::int64_t kBenchTokens[] = {1,   2,   4,   8,   16,  17,   32,   33,   64,   65,   96,
                                         128, 192, 256, 320, 512, 1024, 2048, 4096, 8192, 16384};

// The part of an argument struct that has the extents.
template <class Args>
Args& WithExtents(Args& args) {
  return args;
}
MhcBoundaryArgs& WithExtents(MhcBoundaryShiftedArgs& args) { return args.boundary; }

template <class Args>
std::unique_ptr<Suite> MhcSuite(std::string_view op, std::span<const Kernel<Args>> table,
                                Problem<Args> (*make)(const MhcShape&, MhcArithmetic),
                                void (*link)(const Args& before, Args& next) = nullptr) {
  const auto to_case = [make](const MhcShape& s) {
    return Case<Args>{fmt::format("T={} hc={} H={} {} iterations={}{}", s.tokens, s.hc, s.hidden,
                                  Short(s.type), s.iterations, Name(s.layout)),
                      [make, s](std::string_view bits) { return make(s, MhcArithmetic::Of(bits)); },
                      s.bench,
                      {{"H", s.hidden}, {"T", s.tokens}},
                      [s] {
                        Args args;
                        auto& extents = WithExtents(args);
                        extents.type = s.type;
                        extents.tokens = s.tokens;
                        extents.hc = s.hc;
                        extents.hidden = s.hidden;
                        extents.layout = s.strides();
                        return args;
                      }};
  };
  std::vector<Case<Args>> cases;
  for (const MhcShape& s : kShapes) cases.push_back(to_case(s));
  GpuBench<Args> bench = {.link = link};
  for (const std::int64_t hidden : kBenchWidths) {
    const auto add = [&](std::int64_t tokens, bool dense) {
      bench.cases.push_back(to_case({tokens, 4, hidden, kBF16, 20, true}));
      bench.cases.back().dense = dense;
    };
    std::int64_t next = 1;
    for (const std::int64_t tokens : kBenchTokens) {
      for (; next < tokens && next <= kDenseTokens; ++next) add(next, true);
      add(tokens, false);
      next = tokens + 1;
    }
  }
  return MakeSuite(op, table, std::move(cases), std::move(bench));
}

// Streams of different size, so that a mean over one of them is not the mean over all.
void* Streams(Buffers& buffers, const MhcShape& s) {
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

// The streams in the layout of the case. `packed` holds the same afterwards, for the bounds.
const void* LayStreams(Buffers& buffers, const MhcShape& s, void* packed) {
  if (s.layout == Layout::kPacked) return packed;
  if (s.layout == Layout::kPadded)
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
  if (s.layout != Layout::kPadded) return packed;
  return Spread(buffers, s, packed, s.tokens, s.strides().x);
}

// Mixes of order 1, as in the released models.
const float* Fn(Buffers& buffers, std::int64_t rows, const MhcShape& s) {
  return buffers.Floats(rows * s.k(), 1.2 / std::sqrt(static_cast<double>(s.k())));
}

MhcSite Site(Buffers& buffers, const MhcShape& s) {
  MhcSite site;
  site.fn = Fn(buffers, s.rows(), s);
  site.base = buffers.Floats(s.rows(), 1.0);
  site.scale = buffers.Floats(3, 0.1, 0.9);
  site.iterations = s.iterations;
  return site;
}

// Adds the outputs pre, post and comb of a site that reads `streams`.
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

Problem<MhcCoeffsArgs> MakeCoeffs(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcCoeffsArgs> p;
  p.buffers = s.NewBuffers();
  void* streams = Streams(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const MhcSite site = Site(*p.buffers, s);
  AddCoefficients(*p.buffers, s, arithmetic, streams, site, p.outputs);
  p.args = {laid,
            site,
            static_cast<float*>(p.outputs[0].data),
            static_cast<float*>(p.outputs[1].data),
            static_cast<float*>(p.outputs[2].data),
            s.type,
            s.tokens,
            s.hc,
            s.hidden,
            s.strides()};
  p.bytes = s.stream_bytes() + s.fn_bytes() + s.coefficient_bytes();
  p.flops = s.projection_flops();
  return p;
}

// |error| of sum_j c_j X_j in hc fused multiply-adds, for element i of [T, H].
double CollapseError(const MhcShape& s, const void* streams, const float* pre, std::int64_t i) {
  double terms = 0;
  for (std::int64_t j = 0; j < s.hc; ++j) {
    const std::int64_t token = i / s.hidden;
    const double x = Value(streams, s.type, (token * s.hc + j) * s.hidden + i % s.hidden);
    terms += std::abs(pre[token * s.hc + j] * x);
  }
  return static_cast<double>(s.hc + 2) * kF32Eps * terms;
}

Problem<MhcCollapseArgs> MakeCollapse(const MhcShape& s, MhcArithmetic) {
  Problem<MhcCollapseArgs> p;
  p.buffers = s.NewBuffers();
  void* streams = Streams(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const float* pre = p.buffers->Floats(s.tokens * s.hc, 0.3, 0.5);
  const auto bound = [=](std::int64_t i, double expected) {
    return Rounded(s.type, expected) + CollapseError(s, streams, pre, i);
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.tokens * s.hidden, bound)};
  p.args = {laid, pre, p.outputs[0].data, s.type, s.tokens, s.hc, s.hidden, s.strides()};
  p.bytes = s.stream_bytes() + s.row_bytes();
  p.flops = 2.0 * static_cast<double>(s.stream_elements());
  return p;
}

Problem<MhcPostArgs> MakePost(const MhcShape& s, MhcArithmetic) {
  Problem<MhcPostArgs> p;
  p.buffers = s.NewBuffers();
  const void* x = p.buffers->Values(s.tokens * s.hidden, s.type, 1.0);
  void* streams = Streams(*p.buffers, s);
  const void* laid = LayStreams(*p.buffers, s, streams);
  const void* laid_x = LayX(*p.buffers, s, x);
  const float* post = p.buffers->Floats(s.tokens * s.hc, 0.5, 1.0);
  const float* comb = p.buffers->Floats(s.tokens * s.hc * s.hc, 0.3, 0.25);
  const auto bound = [=](std::int64_t i, double expected) {
    const std::int64_t token = i / s.k();
    const std::int64_t m = i / s.hidden % s.hc;
    const std::int64_t column = i % s.hidden;
    double terms = std::abs(post[token * s.hc + m] * Value(x, s.type, token * s.hidden + column));
    for (std::int64_t j = 0; j < s.hc; ++j) {
      terms += std::abs(comb[(token * s.hc + j) * s.hc + m] *
                        Value(streams, s.type, (token * s.hc + j) * s.hidden + column));
    }
    return Rounded(s.type, expected) + static_cast<double>(s.hc + 3) * kF32Eps * terms;
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.stream_elements(), bound)};
  p.args = {laid_x, laid,     post, comb,     p.outputs[0].data,
            s.type, s.tokens, s.hc, s.hidden, s.strides()};
  p.bytes = 2 * s.stream_bytes() + s.row_bytes() + s.coefficient_bytes();
  p.flops = s.mix_flops();
  return p;
}

Problem<MhcHeadArgs> MakeHead(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcHeadArgs> p;
  p.buffers = s.NewBuffers();
  MhcHeadArgs& a = p.args;
  void* streams = Streams(*p.buffers, s);
  a.streams = LayStreams(*p.buffers, s, streams);
  a.layout = s.strides();
  a.fn = Fn(*p.buffers, s.hc, s);
  a.base = p.buffers->Floats(s.hc, 1.0);
  a.scale = p.buffers->Floats(1, 0.1, 0.9);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  const MhcBounds bounds(streams, s.type, s.hc, s.hidden, a.fn, a.base, a.rms_eps, arithmetic);
  // The weights of one token serve all its columns; p_j is at most 1 + eps.
  const auto bound = [=, in = p.args, weights = std::map<std::int64_t, std::vector<double>>()](
                         std::int64_t i, double expected) mutable {
    const std::int64_t token = i / s.hidden;
    std::vector<double>& errors = weights[token];
    for (auto j = static_cast<std::int64_t>(errors.size()); j < s.hc; ++j) {
      errors.push_back(bounds.Sigmoid(token, j, in.scale[0]));
    }
    double error = 0;
    for (std::int64_t j = 0; j < s.hc; ++j) {
      const double x = Value(streams, s.type, (token * s.hc + j) * s.hidden + i % s.hidden);
      error += std::abs(x) * (errors[static_cast<std::size_t>(j)] +
                              static_cast<double>(s.hc + 2) * kF32Eps * 1.001);
    }
    return Rounded(s.type, expected) + error;
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.tokens * s.hidden, bound)};
  a.out = p.outputs[0].data;
  p.bytes = s.stream_bytes() + s.row_bytes() + 4.0 * static_cast<double>(s.hc * s.k());
  p.flops = 2.0 * static_cast<double>(s.tokens * s.hc * s.k());
  return p;
}

// Multiples of `step`, few enough bits that the mix of streams is exact in f32: then definition and
// kernel round the same value, X' is equal, and what follows can be held to its own bounds.
void* Dyadic(Buffers& buffers, std::int64_t count, DType type, double step, std::int64_t below) {
  void* data = buffers.Bytes(ByteSize(type, count));
  constexpr std::int64_t kPeriod = 1000003;  // a prime, so that no two rows are the same
  for (std::int64_t i = 0; i < std::min(count, kPeriod); ++i) {
    const auto n = static_cast<std::int64_t>(buffers.Next() % static_cast<std::uint64_t>(below));
    const auto middle = below / 2;
    const auto value = static_cast<float>(step * static_cast<double>(n - middle));
    if (type == kF32) {
      static_cast<float*>(data)[i] = value;
    } else {
      static_cast<bf16*>(data)[i] = bf16(value);
    }
  }
  auto* bytes = static_cast<std::byte*>(data);
  for (std::int64_t done = kPeriod; done < count; done += std::min(done, count - done))
    std::memcpy(bytes + ByteSize(type, done), bytes,
                static_cast<std::size_t>(ByteSize(type, std::min(done, count - done))));
  return data;
}

// What h of a token is made of.
struct HParts {
  const void* streams = nullptr;  // X' [T, hc, H]
  const float* pre = nullptr;     // [T, hc]
  // Bound of the error of pre[token, j].
  std::function<double(std::int64_t token, std::int64_t j)> pre_error = {};
  const float* norm_weight = nullptr;  // [H]
  double norm_eps = 0;
};

// Bound of h = norm(sum_j pre_j X'_j), from the definition's own X' and pre.
class HBound {
 public:
  HBound(const MhcShape& s, HParts parts) : s_(s), a_(std::move(parts)) {}

  double operator()(std::int64_t i, double expected) {
    const std::int64_t token = i / s_.hidden;
    if (token != token_) Enter(token);
    const auto column = static_cast<std::size_t>(i % s_.hidden);
    const double ulp = 2 * HalfUlp(s_.type);
    const double of_norm = std::abs(expected) * (ulp + rms_error_ + 2 * ulp + 8 * kF32Eps);
    return of_norm + std::abs(a_.norm_weight[column]) * rs_ * errors_[column] + 0x1p-149;
  }

 private:
  // Errors of v before and after its rounding, and what they do to the root mean square.
  void Enter(std::int64_t token) {
    token_ = token;
    errors_.assign(static_cast<std::size_t>(s_.hidden), 0);
    std::vector<double> of_pre;
    for (std::int64_t j = 0; j < s_.hc; ++j) of_pre.push_back(a_.pre_error(token, j));
    double squares = 0;
    double error_squares = 0;
    for (std::int64_t c = 0; c < s_.hidden; ++c) {
      double v = 0;
      double error = CollapseError(s_, a_.streams, a_.pre, token * s_.hidden + c);
      for (std::int64_t j = 0; j < s_.hc; ++j) {
        const double x = Value(a_.streams, s_.type, (token * s_.hc + j) * s_.hidden + c);
        v += a_.pre[token * s_.hc + j] * x;
        error += of_pre[static_cast<std::size_t>(j)] * std::abs(x);
      }
      errors_[static_cast<std::size_t>(c)] = error;
      const double rounded = error + 2 * HalfUlp(s_.type) * std::abs(v);
      squares += v * v;
      error_squares += rounded * rounded;
    }
    const auto width = static_cast<double>(s_.hidden);
    rs_ = 1 / std::sqrt(squares / width + a_.norm_eps);
    rms_error_ = std::sqrt(error_squares / width) * rs_ + (width / 16 + 6) * kF32Eps;
  }

  MhcShape s_ = {};
  HParts a_ = {};
  std::int64_t token_ = -1;
  double rs_ = 0;
  double rms_error_ = 0;
  std::vector<double> errors_ = {};
};

// The inputs of a mix whose X' definition and kernels agree on.
struct MixInputs {
  void* x;
  void* streams;
  float* post;
  float* comb;

  MixInputs(Buffers& b, const MhcShape& s)
      : x(Dyadic(b, s.tokens * s.hidden, s.type, 1.0 / 32, 200)),
        streams(Dyadic(b, s.stream_elements(), s.type, 1.0 / 32, 200)),
        post(static_cast<float*>(Dyadic(b, s.tokens * s.hc, kF32, 1.0 / 64, 128))),
        comb(static_cast<float*>(Dyadic(b, s.tokens * s.hc * s.hc, kF32, 1.0 / 64, 64))) {}
};

// A boundary whose h is read with `pre`, or with its own where that is null.
void FillBoundary(const MhcShape& s, MhcArithmetic arithmetic, const float* pre, Buffers& b,
                  MhcBoundaryArgs& a, std::vector<Output>& outputs) {
  const MixInputs in(b, s);
  a.x = LayX(b, s, in.x);
  a.streams = LayStreams(b, s, in.streams);
  a.layout = s.strides();
  a.post = in.post;
  a.comb = in.comb;
  a.site = Site(b, s);
  a.norm_weight = b.Floats(s.hidden, 0.3, 1.0);
  outputs.push_back(NewOutput(b, "streams_out", s.type, s.stream_elements()));
  a.streams_out = outputs[0].data;
  const MhcBounds bounds = AddCoefficients(b, s, arithmetic, a.streams_out, a.site, outputs);
  a.pre_out = static_cast<float*>(outputs[1].data);
  a.post_out = static_cast<float*>(outputs[2].data);
  a.comb_out = static_cast<float*>(outputs[3].data);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  const auto of_own = [bounds, scale = a.site.scale[0]](std::int64_t token, std::int64_t j) {
    return bounds.Sigmoid(token, j, scale);
  };
  const auto of_given = [](std::int64_t, std::int64_t) { return 0.0; };
  HParts parts = {.streams = a.streams_out,
                  .pre = pre != nullptr ? pre : a.pre_out,
                  .norm_weight = a.norm_weight,
                  .norm_eps = a.norm_eps};
  if (pre != nullptr) {
    parts.pre_error = of_given;
  } else {
    parts.pre_error = of_own;
  }
  outputs.push_back(NewOutput(b, "h", s.type, s.tokens * s.hidden, HBound(s, std::move(parts))));
  a.h = outputs[4].data;
}

double BoundaryBytes(const MhcShape& s) {
  return 2 * s.stream_bytes() + 2 * s.row_bytes() + s.fn_bytes() + 2 * s.coefficient_bytes();
}

Problem<MhcBoundaryArgs> MakeBoundary(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcBoundaryArgs> p;
  p.buffers = s.NewBuffers();
  FillBoundary(s, arithmetic, nullptr, *p.buffers, p.args, p.outputs);
  p.bytes = BoundaryBytes(s);
  p.flops = s.mix_flops() + s.projection_flops();
  return p;
}

Problem<MhcBoundaryShiftedArgs> MakeBoundaryShifted(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcBoundaryShiftedArgs> p;
  p.buffers = s.NewBuffers();
  p.args.pre = p.buffers->Floats(s.tokens * s.hc, 0.3, 0.5);
  FillBoundary(s, arithmetic, p.args.pre, *p.buffers, p.args.boundary, p.outputs);
  p.bytes = BoundaryBytes(s) + 4.0 * static_cast<double>(s.tokens * s.hc);
  p.flops = s.mix_flops() + s.projection_flops();
  return p;
}

Problem<MhcTailArgs> MakeTail(const MhcShape& s, MhcArithmetic arithmetic) {
  Problem<MhcTailArgs> p;
  p.buffers = s.NewBuffers();
  Buffers& b = *p.buffers;
  MhcTailArgs& a = p.args;
  const MixInputs in(b, s);
  a.x = LayX(b, s, in.x);
  a.streams = LayStreams(b, s, in.streams);
  a.layout = s.strides();
  a.post = in.post;
  a.comb = in.comb;
  a.fn = Fn(b, s.hc, s);
  a.base = b.Floats(s.hc, 1.0);
  a.scale = b.Floats(1, 0.1, 0.9);
  a.norm_weight = b.Floats(s.hidden, 0.3, 1.0);
  a.type = s.type;
  a.tokens = s.tokens;
  a.hc = s.hc;
  a.hidden = s.hidden;
  p.outputs.push_back(NewOutput(b, "streams_out", s.type, s.stream_elements()));
  a.streams_out = p.outputs[0].data;
  const MhcBounds bounds(a.streams_out, s.type, s.hc, s.hidden, a.fn, a.base, a.rms_eps,
                         arithmetic);
  // The definition's weights of a token, which it keeps to itself.
  const auto weights = std::make_shared<std::vector<float>>(
      static_cast<std::size_t>(s.tokens * s.hc), std::nanf(""));
  const auto bound =
      [=, known = std::int64_t{-1},
       of_h = HBound(s, {.streams = a.streams_out,
                         .pre = weights->data(),
                         .pre_error =
                             [bounds, scale = a.scale[0]](std::int64_t token, std::int64_t j) {
                               return bounds.Sigmoid(token, j, scale);
                             },
                         .norm_weight = a.norm_weight,
                         .norm_eps = a.norm_eps})](std::int64_t i, double expected) mutable {
        const std::int64_t token = i / s.hidden;
        if (token != known) {
          known = token;
          for (std::int64_t j = 0; j < s.hc; ++j)
            (*weights)[static_cast<std::size_t>(token * s.hc + j)] =
                static_cast<float>(bounds.SigmoidAt(token, j, a.scale[0]) + a.eps);
        }
        return of_h(i, expected);
      };
  p.outputs.push_back(NewOutput(b, "out", s.type, s.tokens * s.hidden, bound));
  a.out = p.outputs[1].data;
  p.bytes = 2 * s.stream_bytes() + 2 * s.row_bytes() + 4.0 * static_cast<double>(s.hc * s.k()) +
            s.coefficient_bytes();
  p.flops = s.mix_flops() + 2.0 * static_cast<double>(s.tokens * s.hc * s.k());
  return p;
}

void ChainBoundaries(const MhcBoundaryArgs& before, MhcBoundaryArgs& next) {
  next.streams = before.streams_out;
  next.post = before.post_out;
  next.comb = before.comb_out;
}

void ChainShifted(const MhcBoundaryShiftedArgs& before, MhcBoundaryShiftedArgs& next) {
  ChainBoundaries(before.boundary, next.boundary);
  next.pre = before.boundary.pre_out;
}

}  // namespace

void AddMhcSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(MhcSuite("mhc_boundary", ops::MhcBoundaryKernels(), MakeBoundary, ChainBoundaries));
  to.push_back(MhcSuite("mhc_boundary_shifted", ops::MhcBoundaryShiftedKernels(),
                        MakeBoundaryShifted, ChainShifted));
  to.push_back(MhcSuite("mhc_coeffs", ops::MhcCoeffsKernels(), MakeCoeffs));
  to.push_back(MhcSuite("mhc_collapse", ops::MhcCollapseKernels(), MakeCollapse));
  to.push_back(MhcSuite("mhc_head", ops::MhcHeadKernels(), MakeHead));
  to.push_back(MhcSuite("mhc_post", ops::MhcPostKernels(), MakePost));
  to.push_back(MhcSuite("mhc_tail", ops::MhcTailKernels(), MakeTail));
}

}  // namespace birkhoff::harness
