#include <fmt/format.h>

#include "harness/fp8_outputs.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

struct RowsShape {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  Fp8Format format = {};  // group 0: the whole row
  DType x = kBF16;
  DType out = kBF16;     // of a norm
  std::int64_t gap = 0;  // between rows of x
  bool bench = false;

  Fp8Shape fp8() const {
    Fp8Shape s = {rows, width, format};
    if (format.group == 0) s.format.group = width;
    return s;
  }
  std::string name() const {
    const std::string group = format.group == 0 ? "row" : fmt::format("{}", format.group);
    return fmt::format("rows={} width={} {}->{}{} fp8/{} {}{}", rows, width, Short(x), Short(out),
                       gap == 0 ? "" : " padded", group, Name(format.scale),
                       format.floor == kFp8GroupFloor ? "" : " low floor");
  }
  std::vector<std::pair<std::string, std::int64_t>> dims() const {
    return {{"H", width}, {"T", rows}, {"fp8", format.group}};
  }
  double row_bytes(DType type) const { return static_cast<double>(ByteSize(type, rows * width)); }
};

constexpr Fp8Format kWide = {128, Fp8Scale::kF32};
constexpr Fp8Format kWidePowers = {128, Fp8Scale::kPowerOfTwo};
constexpr Fp8Format kNarrow = {32, Fp8Scale::kE8M0};
constexpr Fp8Format kRow = {0, Fp8Scale::kF32, kFp8RowFloor};

// Widths about the 16 lanes, the 256 columns of a warp, and what a block keeps in registers (8192)
// or shared memory (4096).
constexpr RowsShape kShapes[] = {
    {0, 64, kWide},
    {1, 1, kRow, kF32, kF32},
    {3, 17, {5, Fp8Scale::kPowerOfTwo}},
    {7, 127, kNarrow, kF32, kBF16},
    {2, 128, kWide},
    {5, 129, kWidePowers, kBF16, kF32},
    {4, 250, {0, Fp8Scale::kE8M0, kFp8RowFloor}, kBF16, kBF16, 3},
    {9, 576, {64, Fp8Scale::kF32}, kF32, kF32, 40},
    {6, 1000, {8, Fp8Scale::kE8M0}},
    {6, 1536, kWide, kBF16, kBF16, 576},
    {3, 1544, {256, Fp8Scale::kPowerOfTwo}, kF32, kBF16},
    {2, 4104, kNarrow, kBF16, kBF16, 1},
    {2, 8200, kRow, kBF16, kBF16},
    {1, 9001, kRow, kF32, kF32},
    {1, 7168, kWide, kBF16, kBF16, 0, true},
    {16, 4096, kRow, kBF16, kBF16, 0, true},
    {4, 4096, kNarrow, kBF16, kBF16, 0, true},
};

std::vector<RowsShape> BenchShapes() {
  std::vector<RowsShape> shapes;
  for (const std::int64_t width : {2048, 7168}) {
    for (const Fp8Format& format : {kWide, kNarrow, kRow}) {
      for (const std::int64_t rows : {1, 64, 1024, 4096, 16384})
        shapes.push_back({rows, width, format, kBF16, kBF16, 0, true});
    }
  }
  return shapes;
}

template <class Args>
std::unique_ptr<Suite> RowsSuite(std::string_view op, std::span<const Kernel<Args>> table,
                                 Problem<Args> (*make)(const RowsShape&)) {
  std::vector<Case<Args>> cases;
  GpuBench<Args> bench;
  const auto add = [&](std::vector<Case<Args>>& to, const RowsShape& s) {
    to.push_back({s.name(), [make, s] { return make(s); }, s.bench, s.dims()});
  };
  for (const RowsShape& s : kShapes) add(cases, s);
  for (const RowsShape& s : BenchShapes()) add(bench.cases, s);
  return MakeSuite(op, table, std::move(cases), std::move(bench));
}

template <class Args>
Problem<Args> NewProblem(const RowsShape& s) {
  Problem<Args> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.rows * 8191 + s.width));
  p.args.rows = s.rows;
  p.args.width = s.width;
  return p;
}

Problem<QuantiseArgs> MakeQuantise(const RowsShape& s) {
  auto p = NewProblem<QuantiseArgs>(s);
  QuantiseArgs& a = p.args;
  a.x_row = s.width + s.gap;
  a.x = p.buffers->Values(s.rows * a.x_row, s.x, 3.0);
  a.type = s.x;
  a.fp8 = AddFp8(*p.buffers, s.fp8(), {}, p.outputs);
  p.also = [a, fp8 = s.fp8()] { return DiffersFromFp8Of(a.x, a.type, a.x_row, fp8, a.fp8); };
  p.bytes = s.row_bytes(s.x) + s.fp8().bytes();
  p.flops = 2.0 * static_cast<double>(s.rows * s.width);
  return p;
}

Problem<RmsNormQuantiseArgs> MakeRmsNormQuantise(const RowsShape& s) {
  auto p = NewProblem<RmsNormQuantiseArgs>(s);
  RmsNormQuantiseArgs& a = p.args;
  // As in rms_norm: a sum of squares has no cancellation.
  const Bound bound = Relative(s.out, (static_cast<double>(s.width) / 16 + 6) / 2 + 4);
  a.x_row = s.width + s.gap;
  a.x = p.buffers->Values(s.rows * a.x_row, s.x, 3.0, 0.5);
  a.weight = p.buffers->Floats(s.width, 0.3, 1.0);
  p.outputs.push_back(NewOutput(*p.buffers, "out", s.out, s.rows * s.width, bound));
  a.out = p.outputs[0].data;
  a.x_type = s.x;
  a.out_type = s.out;
  a.eps = 1e-6f;
  a.fp8 = AddFp8(*p.buffers, s.fp8(), bound, p.outputs);
  p.also = [a, fp8 = s.fp8()] { return DiffersFromFp8Of(a.out, a.out_type, a.width, fp8, a.fp8); };
  p.bytes =
      s.row_bytes(s.x) + s.row_bytes(s.out) + s.fp8().bytes() + 4.0 * static_cast<double>(s.width);
  p.flops = 6.0 * static_cast<double>(s.rows * s.width);
  return p;
}

// No clamp for one row, clamps that bite for several.
Problem<SwigluQuantiseArgs> MakeSwigluQuantise(const RowsShape& s) {
  auto p = NewProblem<SwigluQuantiseArgs>(s);
  SwigluQuantiseArgs& a = p.args;
  // As in swiglu.
  const auto bound = [type = s.x](std::int64_t, double expected) {
    return Rounded(type, expected, 2 + 4) + 1e-34;
  };
  a.gate = p.buffers->Values(s.rows * s.width, s.x, 6.0);
  a.up = p.buffers->Values(s.rows * s.width, s.x, 6.0);
  a.type = s.x;
  if (s.rows > 1) a.limit = 7.0f;
  a.fp8 = AddFp8(*p.buffers, s.fp8(), bound, p.outputs);
  p.bytes = 2 * s.row_bytes(s.x) + s.fp8().bytes();
  p.flops = 22.0 * static_cast<double>(s.rows * s.width);
  return p;
}

}  // namespace

void AddFp8Suites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(RowsSuite("quantise", ops::QuantiseKernels(), MakeQuantise));
  to.push_back(RowsSuite("rms_norm_quantise", ops::RmsNormQuantiseKernels(), MakeRmsNormQuantise));
  to.push_back(RowsSuite("swiglu_quantise", ops::SwigluQuantiseKernels(), MakeSwigluQuantise));
}

}  // namespace birkhoff::harness
