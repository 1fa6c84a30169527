#include <fmt/format.h>

#include <cmath>

#include "harness/typed_suite.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

std::string_view Short(DType t) { return t == DType::kBF16 ? "bf16" : "f32"; }

Output Out(std::string name, void* data, DType type, std::int64_t elements,
           std::function<double(std::int64_t, double)> bound) {
  return {std::move(name), data, type, elements, std::move(bound)};
}

// Each side rounds once to `type`; `ulps` roundings to f32 stand before that.
std::function<double(std::int64_t, double)> Relative(DType type, double ulps) {
  return [=](std::int64_t, double expected) {
    return std::abs(expected) * (2 * HalfUlp(type) + ulps * kF32Eps) + 1e-44;
  };
}

// ---- rms_norm

struct RmsNormShape {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  DType x = DType::kBF16;
  DType out = DType::kBF16;
  bool weighted = true;
  bool bench = false;
};

Problem<RmsNormArgs> MakeRmsNorm(const RmsNormShape& s) {
  Problem<RmsNormArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.rows * 8191 + s.width));
  const std::int64_t n = s.rows * s.width;
  p.args.x = p.buffers->Values(n, s.x, 3.0, 0.5);
  if (s.weighted) p.args.weight = p.buffers->Floats(s.width, 0.3, 1.0);
  p.args.out = p.buffers->Bytes(n * static_cast<std::int64_t>(SizeOf(s.out)));
  p.args.x_type = s.x;
  p.args.out_type = s.out;
  p.args.rows = s.rows;
  p.args.width = s.width;
  p.args.eps = 1e-6f;
  // A sum of squares has no cancellation: its relative error is at most the length of a chain, and
  // the square root halves it.
  const double ulps = (static_cast<double>(s.width) / 16 + 6) / 2 + 4;
  p.outputs = {Out("out", p.args.out, s.out, n, Relative(s.out, ulps))};
  p.bytes = static_cast<double>(n) * static_cast<double>(SizeOf(s.x) + SizeOf(s.out)) +
            4.0 * static_cast<double>(s.weighted ? s.width : 0);
  p.flops = 4.0 * static_cast<double>(n);
  return p;
}

std::unique_ptr<Suite> RmsNormSuite() {
  constexpr DType kB = DType::kBF16;
  constexpr DType kF = DType::kF32;
  std::vector<Case<RmsNormArgs>> cases;
  for (const RmsNormShape& s :
       {RmsNormShape{0, 64, kB, kB, true, false}, RmsNormShape{1, 1, kB, kF, true, false},
        RmsNormShape{3, 5, kF, kF, true, false}, RmsNormShape{7, 16, kB, kB, false, false},
        RmsNormShape{2, 17, kF, kB, true, false}, RmsNormShape{5, 250, kB, kF, false, false},
        RmsNormShape{1, 4096, kB, kB, true, true}, RmsNormShape{65, 4096, kB, kB, true, true},
        RmsNormShape{33, 512, kF, kF, false, false}}) {
    cases.push_back({fmt::format("rows={} width={} {}->{}{}", s.rows, s.width, Short(s.x),
                                 Short(s.out), s.weighted ? "" : " weightless"),
                     [s] { return MakeRmsNorm(s); }, s.bench});
  }
  return MakeSuite("rms_norm", ops::RmsNormKernels(), std::move(cases));
}

}  // namespace

void AddElementwiseSuites(std::vector<std::unique_ptr<Suite>>& to) { to.push_back(RmsNormSuite()); }

}  // namespace birkhoff::harness
