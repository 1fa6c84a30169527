#include <fmt/format.h>

#include <cmath>

#include "harness/problems.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

// ---- add, broadcast, concat, gather_rows, swiglu

struct RowsShape {
  std::int64_t rows = 0;
  std::int64_t times = 1;  // copies, repeat
  std::int64_t width = 0;
  DType type = kBF16;
  bool bench = false;

  std::uint64_t seed() const { return static_cast<std::uint64_t>(rows * 8191 + width + times); }
  std::int64_t elements() const { return rows * times * width; }
};

constexpr RowsShape kRowsShapes[] = {
    {0, 3, 16, kBF16, false},  {1, 1, 1, kF32, false},     {3, 4, 5, kBF16, false},
    {2, 4, 17, kF32, false},   {5, 1, 250, kBF16, false},  {33, 2, 64, kF32, false},
    {1, 4, 4096, kBF16, true}, {16, 4, 4096, kBF16, true},
};

template <class Args>
std::vector<Case<Args>> RowsCases(Problem<Args> (*make)(const RowsShape&)) {
  std::vector<Case<Args>> cases;
  for (const RowsShape& s : kRowsShapes) {
    cases.push_back({fmt::format("rows={}x{} width={} {}", s.rows, s.times, s.width, Short(s.type)),
                     [make, s] { return make(s); }, s.bench});
  }
  return cases;
}

Problem<AddArgs> MakeAdd(const RowsShape& s, DType a_type, DType b_type) {
  Problem<AddArgs> p;
  p.buffers = std::make_shared<Buffers>(s.seed());
  const void* a = p.buffers->Values(s.rows * s.width, a_type, 2.0);
  const void* b = p.buffers->Values(s.elements(), b_type, 1.0);
  const auto bound = [type = s.type](std::int64_t, double sum) { return Rounded(type, sum, 1); };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.elements(), bound)};
  p.args = {a, b, p.outputs[0].data, a_type, b_type, s.type, s.rows, s.times, s.width};
  p.bytes = static_cast<double>(ByteSize(a_type, s.rows * s.width) +
                                ByteSize(b_type, s.elements()) + ByteSize(s.type, s.elements()));
  p.flops = static_cast<double>(s.elements());
  return p;
}

std::vector<Case<AddArgs>> AddCases() {
  std::vector<Case<AddArgs>> cases;
  for (const DType a : {kF32, kBF16}) {
    for (const DType b : {kF32, kBF16}) {
      for (const RowsShape& s : kRowsShapes) {
        cases.push_back({fmt::format("rows={}x{} width={} {}+{}->{}", s.rows, s.times, s.width,
                                     Short(a), Short(b), Short(s.type)),
                         [=] { return MakeAdd(s, a, b); }, s.bench && a == b});
      }
    }
  }
  return cases;
}

Problem<BroadcastArgs> MakeBroadcast(const RowsShape& s) {
  Problem<BroadcastArgs> p;
  p.buffers = std::make_shared<Buffers>(s.seed());
  const void* x = p.buffers->Values(s.rows * s.width, s.type, 1.0);
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.elements())};
  p.args = {x, p.outputs[0].data, s.type, s.rows, s.times, s.width};
  p.bytes = static_cast<double>(ByteSize(s.type, s.rows * s.width + s.elements()));
  return p;
}

// Columns of wider rows, `times` as many of one as of the other.
Problem<ConcatArgs> MakeConcat(const RowsShape& s) {
  Problem<ConcatArgs> p;
  p.buffers = std::make_shared<Buffers>(s.seed());
  ConcatArgs& a = p.args;
  a = {.type = s.type, .rows = s.rows, .a_width = s.times * s.width, .b_width = s.width};
  a.a_row = a.a_width + 3;
  a.b_row = a.b_width + s.times;
  a.a = p.buffers->Values(s.rows * a.a_row, s.type, 1.0);
  a.b = p.buffers->Values(s.rows * a.b_row, s.type, 1.0);
  const std::int64_t elements = s.rows * (a.a_width + a.b_width);
  p.outputs = {NewOutput(*p.buffers, "out", s.type, elements)};
  a.out = p.outputs[0].data;
  p.bytes = 2.0 * static_cast<double>(ByteSize(s.type, elements));
  return p;
}

// `times` rows are gathered for each row that there is.
Problem<GatherRowsArgs> MakeGatherRows(const RowsShape& s) {
  Problem<GatherRowsArgs> p;
  p.buffers = std::make_shared<Buffers>(s.seed());
  const void* x = p.buffers->Values(s.rows * s.width, s.type, 1.0);
  const std::int32_t* index = p.buffers->Ints(s.rows * s.times, std::max<std::int64_t>(s.rows, 1));
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.elements())};
  p.args = {x, index, p.outputs[0].data, s.type, s.rows * s.times, s.width};
  p.bytes = 2.0 * static_cast<double>(ByteSize(s.type, s.elements()));
  return p;
}

// No clamp for one row, clamps that bite for several.
Problem<SwigluArgs> MakeSwiglu(const RowsShape& s) {
  Problem<SwigluArgs> p;
  p.buffers = std::make_shared<Buffers>(s.seed());
  const std::int64_t rows = s.rows * s.times;
  const void* gate = p.buffers->Values(s.elements(), s.type, 6.0);
  const void* up = p.buffers->Values(s.elements(), s.type, 6.0);
  // Exponential 1 ulp, which the sum with 1 only shrinks, four more operations; below e^-88 the
  // sigmoid is a denormal or zero.
  const auto bound = [=](std::int64_t, double expected) {
    return Rounded(s.type, expected, 2 + 4) + 1e-34;
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.type, s.elements(), bound)};
  p.args = {gate, up, p.outputs[0].data, s.type, rows, s.width};
  if (rows > 1) p.args.limit = 7.0f;
  p.bytes = 3.0 * static_cast<double>(ByteSize(s.type, s.elements()));
  p.flops = 20.0 * static_cast<double>(s.elements());
  return p;
}

// ---- embedding

struct EmbeddingShape {
  std::int64_t tokens = 0;
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  WeightFormat format = WeightFormat::kBF16;
  DType out = kBF16;
  bool bench = false;
};

std::string_view FormatName(WeightFormat f) {
  return f == WeightFormat::kF32 ? "f32" : f == WeightFormat::kBF16 ? "bf16" : "f16";
}

Problem<EmbeddingArgs> MakeEmbedding(const EmbeddingShape& s) {
  Problem<EmbeddingArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.tokens * 131 + s.width));
  p.args.table = {.format = s.format, .rows = s.vocabulary, .cols = s.width};
  const std::int64_t n = s.vocabulary * s.width;
  if (s.format == WeightFormat::kF16) {  // any bits: infinities, NaN and subnormals among them
    auto* bits = static_cast<std::uint16_t*>(p.buffers->Bytes(2 * n));
    for (std::int64_t i = 0; i < n; ++i) bits[i] = static_cast<std::uint16_t>(p.buffers->Next());
    p.args.table.data = bits;
  } else {
    p.args.table.data = p.buffers->Values(n, s.format == WeightFormat::kF32 ? kF32 : kBF16, 1.0);
  }
  p.args.ids = p.buffers->Ints(s.tokens, s.vocabulary);
  p.outputs = {NewOutput(*p.buffers, "out", s.out, s.tokens * s.width)};  // one rounding: equal
  p.args.out = p.outputs[0].data;
  p.args.out_type = s.out;
  p.args.tokens = s.tokens;
  p.bytes = static_cast<double>(p.args.table.bytes()) / static_cast<double>(s.vocabulary) *
                static_cast<double>(s.tokens) +
            static_cast<double>(ByteSize(s.out, s.tokens * s.width));
  return p;
}

std::unique_ptr<Suite> EmbeddingSuite() {
  constexpr WeightFormat kHalf = WeightFormat::kF16;
  constexpr WeightFormat kFull = WeightFormat::kF32;
  constexpr WeightFormat kBrain = WeightFormat::kBF16;
  std::vector<Case<EmbeddingArgs>> cases;
  for (const EmbeddingShape& s : {EmbeddingShape{0, 3, 16, kBrain, kBF16, false},
                                  EmbeddingShape{7, 5, 33, kBrain, kF32, false},
                                  EmbeddingShape{3, 9, 250, kFull, kBF16, false},
                                  EmbeddingShape{5, 9, 64, kFull, kF32, false},
                                  EmbeddingShape{40, 300, 64, kHalf, kF32, false},
                                  EmbeddingShape{9, 300, 47, kHalf, kBF16, false},
                                  EmbeddingShape{16, 20, 4096, kBrain, kBF16, true}}) {
    cases.push_back({fmt::format("T={} V={} d={} {}->{}", s.tokens, s.vocabulary, s.width,
                                 FormatName(s.format), Short(s.out)),
                     [s] { return MakeEmbedding(s); }, s.bench});
  }
  return MakeSuite("embedding", ops::EmbeddingKernels(), std::move(cases));
}

// ---- rms_norm

struct RmsNormShape {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  DType x = kBF16;
  DType out = kBF16;
  bool weighted = true;
  bool bench = false;
  std::int64_t x_row = 0;  // 0: packed; else the columns from x_begin on of rows of this width
  std::int64_t x_begin = 0;
};

Problem<RmsNormArgs> MakeRmsNorm(const RmsNormShape& s) {
  Problem<RmsNormArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.rows * 8191 + s.width));
  const std::int64_t n = s.rows * s.width;
  // A sum of squares has no cancellation: its relative error is at most the length of a chain, and
  // the square root halves it.
  const double ulps = (static_cast<double>(s.width) / 16 + 6) / 2 + 4;
  const std::int64_t row = s.x_row > 0 ? s.x_row : s.width;
  p.args.x = static_cast<const std::byte*>(p.buffers->Values(s.rows * row, s.x, 3.0, 0.5)) +
             ByteSize(s.x, s.x_begin);
  if (s.weighted) p.args.weight = p.buffers->Floats(s.width, 0.3, 1.0);
  p.outputs = {NewOutput(*p.buffers, "out", s.out, n, Relative(s.out, ulps))};
  p.args.out = p.outputs[0].data;
  p.args.x_type = s.x;
  p.args.out_type = s.out;
  p.args.rows = s.rows;
  p.args.width = s.width;
  p.args.eps = 1e-6f;
  p.args.x_row = s.x_row;
  p.bytes = static_cast<double>(ByteSize(s.x, n) + ByteSize(s.out, n)) +
            4.0 * static_cast<double>(s.weighted ? s.width : 0);
  p.flops = 4.0 * static_cast<double>(n);
  return p;
}

std::unique_ptr<Suite> RmsNormSuite() {
  const auto make_case = [](const RmsNormShape& s) {
    return Case<RmsNormArgs>{
        fmt::format("rows={} width={} {}->{}{}{}", s.rows, s.width, Short(s.x), Short(s.out),
                    s.weighted ? "" : " weightless",
                    s.x_row > 0 ? fmt::format(" from {} of {}", s.x_begin, s.x_row) : ""),
        [s] { return MakeRmsNorm(s); }, s.bench};
  };
  std::vector<Case<RmsNormArgs>> cases;
  for (const RmsNormShape& s :
       {RmsNormShape{0, 64, kBF16, kBF16, true, false},
        RmsNormShape{1, 1, kBF16, kF32, true, false}, RmsNormShape{3, 5, kF32, kF32, true, false},
        RmsNormShape{7, 16, kBF16, kBF16, false, false},
        RmsNormShape{2, 17, kF32, kBF16, true, false},
        RmsNormShape{5, 250, kBF16, kF32, false, false},
        RmsNormShape{1, 4096, kBF16, kBF16, true, true},
        RmsNormShape{65, 4096, kBF16, kBF16, true, true},
        RmsNormShape{33, 512, kF32, kF32, false, false},
        RmsNormShape{17, 512, kF32, kBF16, true, false, 2112, 1536},
        RmsNormShape{3, 1280, kBF16, kBF16, true, false, 1792, 0},
        RmsNormShape{2, 8192, kBF16, kF32, true, false, 8704, 512},
        RmsNormShape{2, 8193, kF32, kBF16, true, false, 8200, 3},
        RmsNormShape{1, 16400, kBF16, kBF16, true, false},
        RmsNormShape{65537, 8, kBF16, kBF16, true, false, 16, 8},
        RmsNormShape{90000, 5, kF32, kBF16, true, false, 7, 1}}) {
    cases.push_back(make_case(s));
  }
  GpuBench<RmsNormArgs> bench;
  for (const std::int64_t rows : {1, 64, 1024, 4096}) {
    for (const RmsNormShape& s : {RmsNormShape{rows, 7168, kBF16, kBF16, true, true},
                                  RmsNormShape{rows, 1536, kF32, kBF16, true, true, 2112, 0},
                                  RmsNormShape{rows, 512, kF32, kBF16, true, true, 2112, 1536},
                                  RmsNormShape{rows * 64, 512, kF32, kF32, false, true},
                                  RmsNormShape{rows * 64, 128, kBF16, kF32, true, true}}) {
      bench.cases.push_back(make_case(s));
    }
  }
  return MakeSuite("rms_norm", ops::RmsNormKernels(), std::move(cases), std::move(bench));
}

}  // namespace

void AddElementwiseSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(MakeSuite("add", ops::AddKernels(), AddCases()));
  to.push_back(MakeSuite("broadcast", ops::BroadcastKernels(), RowsCases(MakeBroadcast)));
  to.push_back(MakeSuite("concat", ops::ConcatKernels(), RowsCases(MakeConcat)));
  to.push_back(EmbeddingSuite());
  to.push_back(MakeSuite("gather_rows", ops::GatherRowsKernels(), RowsCases(MakeGatherRows)));
  to.push_back(RmsNormSuite());
  to.push_back(MakeSuite("swiglu", ops::SwigluKernels(), RowsCases(MakeSwiglu)));
}

}  // namespace birkhoff::harness
