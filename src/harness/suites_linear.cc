#include <fmt/format.h>

#include <cmath>

#include "harness/random_weights.h"
#include "harness/typed_suite.h"
#include "kernels/ref/elements.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

constexpr DType kB = DType::kBF16;
constexpr DType kF = DType::kF32;
constexpr DType kQ = DType::kF8E4M3;

std::string_view Short(DType t) { return t == DType::kF8E4M3 ? "fp8" : t == kB ? "bf16" : "f32"; }

// ---- linear

struct Shape {
  std::int64_t m = 0;
  std::int64_t n = 0;  // of a group
  std::int64_t k = 0;
  Storage storage = {};
  DType x = kB;
  DType out = kB;
  std::int64_t groups = 1;
  bool bench = false;
  bool columns = false;      // x and out are columns of wider rows
  std::int64_t x_group = 0;  // columns of a scale, with x in FP8
};

std::string ToString(const Shape& s) {
  std::string name = fmt::format("M={} N={} K={} {} {}-{}", s.m, s.n, s.k, s.storage.name,
                                 Short(s.x), Short(s.out));
  if (s.groups > 1) name += fmt::format(" G={}", s.groups);
  if (s.columns) name += " columns";
  if (s.x_group > 0) name += fmt::format(" x_group={}", s.x_group);
  if (s.storage.scales == Storage::Scales::kExtreme) name += " extreme scales";
  if (s.storage.nans) name += " NaNs";
  return name;
}

// One rounding to bf16 on either side, or to f32: below the normal range it is absolute.
double RoundingError(DType type, double value) {
  return 2 * HalfUlp(type) * std::abs(value) + (type == kB ? 0x1p-133 : 0x1p-149);
}

// Random codes, no NaN among them, and scales; returns the rows that they stand for, packed.
const float* RandomFp8Rows(Buffers& buffers, const Shape& s, LinearArgs& a) {
  const std::int64_t stride = a.x_stride();
  const std::int64_t width = s.groups * s.k;
  auto* codes = static_cast<std::uint8_t*>(buffers.Bytes(s.m * stride));
  auto* scales = static_cast<float*>(buffers.Bytes(s.m * a.x_scales() * 4));
  auto* values = static_cast<float*>(buffers.Bytes(s.m * width * 4));
  for (std::int64_t i = 0; i < s.m * a.x_scales(); ++i)
    scales[i] = static_cast<float>(1 + buffers.Next() % 1000) * 0x1p-18f;
  for (std::int64_t i = 0; i < s.m * width; ++i) {
    auto code = static_cast<std::uint8_t>(buffers.Next());
    if ((code & 0x7f) == 0x7f) code ^= 1;
    codes[i / width * stride + i % width] = code;
    const float scale = scales[i / width * a.x_scales() + i % width / s.x_group];
    values[i] = static_cast<float>(ref::E4M3(code)) * scale;
  }
  a.x = codes;
  a.x_scale = scales;
  return values;
}

Problem<LinearArgs> MakeProblem(const Shape& s) {
  auto buffers = std::make_shared<Buffers>(1);
  LinearArgs a;
  a.x_type = s.x;
  a.out_type = s.out;
  a.rows = s.m;
  a.groups = s.groups;
  a.x_group = s.x_group;
  a.w = RandomWeights(*buffers, s.storage, s.groups * s.n, s.k);
  // Small enough that the largest scale does not overflow a sum.
  const double stddev = s.storage.scales == Storage::Scales::kExtreme ? 0x1p-20 : 1;
  const std::int64_t width = s.groups * s.k;
  if (s.columns) {
    a.x_row = width + 7;
    a.out_row = a.w.rows + 5;
  }
  // What the sum is over, for the bound.
  const void* x = nullptr;
  DType x_type = s.x;
  std::int64_t x_row = a.x_stride();
  if (s.x == DType::kF8E4M3) {
    x = RandomFp8Rows(*buffers, s, a);
    x_type = kF;
    x_row = width;
  } else {
    x = a.x = buffers->Values(s.m * x_row, s.x, stddev);
  }
  // What lies between the rows must stay as it is.
  const std::int64_t elements = s.m * a.out_stride();
  a.out = buffers->Bytes(elements * static_cast<std::int64_t>(SizeOf(s.out)));

  const auto bound = [=](std::int64_t i, double expected) {
    const std::int64_t row = i % a.out_stride();
    if (row >= a.w.rows) return 0.0;
    const std::int64_t first = i / a.out_stride() * x_row + row / a.n() * a.k();
    return DotError(a.k(), Dot(x, x_type, first, a.w, row).magnitude) +
           RoundingError(a.out_type, expected);
  };
  Problem<LinearArgs> p{a, {{"out", a.out, s.out, elements, bound}}, buffers};
  p.bytes = static_cast<double>(a.w.bytes()) +
            static_cast<double>(s.m * width) * static_cast<double>(SizeOf(s.x)) +
            static_cast<double>(elements) * static_cast<double>(SizeOf(s.out));
  p.flops = 2 * static_cast<double>(elements) * static_cast<double>(s.k);
  return p;
}

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  const Storage bf16 = kStorages[1];
  // Every number of rows around the limits of the two ways and of their tiles.
  for (const std::int64_t m : {0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 31, 33, 64})
    shapes.push_back({m, 53, 160, bf16, m % 2 == 0 ? kB : kF, m % 3 == 0 ? kF : kB});
  for (const Storage& storage : kStorages) {
    for (const std::int64_t m : {1, 3, 7, 9, 17})
      shapes.push_back({m, 131, 160, storage, m % 2 == 0 ? kF : kB, m == 9 ? kF : kB});
    shapes.push_back({2, 6, 4160, storage});
    shapes.push_back({14, 5, 4160, storage, kB, kF});  // two panels of columns
    shapes.push_back({4, 35, 64, storage, kB, kB, 3});
    shapes.push_back({11, 10, 64, storage, kF, kF, 2});
    if (storage.format == WeightFormat::kMxfp4) {
      shapes.push_back({2, 7, 32, storage});
      continue;
    }
    for (const std::int64_t k : {1, 31, 32, 33, 257}) {
      shapes.push_back({3, 7, k, storage, kF, kF});
      shapes.push_back({10, 7, k, storage, kB, kB});
    }
  }
  shapes.push_back({515, 3, 33, bf16, kB, kF});  // more rows than one call takes
  for (const std::int64_t m : {1, 8, 13}) {
    for (const Storage& storage : {bf16, kStorages[6]}) {
      shapes.push_back({m, 21, 64, storage, kF, kB, 1, false, true});
      shapes.push_back({m, 35, 96, storage, kB, kF, 2, false, true});
    }
    for (const std::int64_t x_group : {1, 32, 100, 291})
      shapes.push_back({m, 37, 97, kStorages[7], kQ, kF, 3, false, m == 8, x_group});
    shapes.push_back({m, 37, 160, kStorages[3], kQ, kB, 1, false, false, 128});
  }
  shapes.push_back({515, 3, 33, bf16, kQ, kB, 1, false, false, 33});
  for (Storage storage : {kStorages[3], kStorages[5], kStorages[6], kStorages[7]}) {
    storage.scales = Storage::Scales::kExtreme;
    shapes.push_back({3, 40, 96, storage, kF, kF});
    shapes.push_back({9, 40, 96, storage, kB, kB});
  }
  Storage nans = kStorages[3];
  nans.nans = true;
  shapes.push_back({2, 40, 96, nans, kF, kF});
  for (const Storage& storage : {kStorages[1], kStorages[3], kStorages[6]})
    shapes.push_back({1, 512, 1024, storage, kB, kB, 1, true});
  shapes.push_back({1, 512, 1024, kStorages[7], kQ, kB, 1, true, false, 1024});
  shapes.push_back({128, 192, 1024, bf16, kB, kB, 1, true});
  return shapes;
}

// ---- head_linear

struct HeadShape {
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t k = 0;
  std::int64_t n = 0;
  bool transposed = false;
  Storage storage = {};
  DType x = kB;
  DType out = kB;
  std::int64_t apart = 0;  // elements between two heads of x
  bool bench = false;
};

std::string ToString(const HeadShape& s) {
  return fmt::format("T={} H={} K={} N={}{} {} {}-{}{}", s.tokens, s.heads, s.k, s.n,
                     s.transposed ? " transposed" : "", s.storage.name, Short(s.x), Short(s.out),
                     s.apart > 0 ? " columns" : "");
}

// Largest error of an output of the transposed form, a chain of k multiply-adds.
double ChainError(const HeadLinearArgs& a, std::int64_t row, std::int64_t n) {
  double magnitude = 0;
  for (std::int64_t k = 0; k < a.k(); ++k)
    magnitude += std::abs(ref::Get(a.x, a.x_type, row * a.x_row + k) *
                          ref::Weight(a.w[row % a.heads], k, n));
  return static_cast<double>(a.k()) * (kF32Eps * magnitude + 0x1p-150);
}

Problem<HeadLinearArgs> MakeHeadLinear(const HeadShape& s) {
  auto buffers = std::make_shared<Buffers>(2);
  auto* w = static_cast<WeightMatrix*>(
      buffers->Bytes(s.heads * static_cast<std::int64_t>(sizeof(WeightMatrix))));
  for (std::int64_t h = 0; h < s.heads; ++h)
    w[h] = s.transposed ? RandomWeights(*buffers, s.storage, s.k, s.n)
                        : RandomWeights(*buffers, s.storage, s.n, s.k);
  HeadLinearArgs a;
  a.w = w;
  a.x_type = s.x;
  a.out_type = s.out;
  a.transposed = s.transposed;
  a.tokens = s.tokens;
  a.heads = s.heads;
  a.x_row = s.k + s.apart;
  a.x = buffers->Values(s.tokens * s.heads * a.x_row, s.x, 1);
  const std::int64_t elements = s.tokens * s.heads * s.n;
  a.out = buffers->Bytes(elements * static_cast<std::int64_t>(SizeOf(s.out)));

  const auto bound = [a](std::int64_t i, double expected) {
    const std::int64_t row = i / a.n();
    const std::int64_t n = i % a.n();
    const WeightMatrix& matrix = a.w[row % a.heads];
    const double error =
        a.transposed ? ChainError(a, row, n)
                     : DotError(a.k(), Dot(a.x, a.x_type, row * a.x_row, matrix, n).magnitude);
    return error + RoundingError(a.out_type, expected);
  };
  Problem<HeadLinearArgs> p{a, {{"out", a.out, s.out, elements, bound}}, buffers};
  p.bytes = static_cast<double>(s.heads * w[0].bytes()) +
            static_cast<double>(s.tokens * s.heads * s.k) * static_cast<double>(SizeOf(s.x)) +
            static_cast<double>(elements) * static_cast<double>(SizeOf(s.out));
  p.flops = 2 * static_cast<double>(elements) * static_cast<double>(s.k);
  return p;
}

std::vector<HeadShape> HeadShapes() {
  std::vector<HeadShape> shapes;
  for (const bool transposed : {false, true}) {
    for (const std::int64_t tokens : {0, 1, 2, 15, 16, 17, 33})
      shapes.push_back({tokens, 3, 32, 40, transposed, kStorages[1], tokens % 2 == 0 ? kB : kF,
                        tokens % 3 == 0 ? kF : kB, tokens % 2});
    for (const Storage& storage : kStorages) {
      shapes.push_back({3, 2, 64, 160, transposed, storage, kB, kF, 32});
      shapes.push_back({9, 2, 160, 64, transposed, storage, kF, kB});
      if (storage.format == WeightFormat::kMxfp4) continue;
      shapes.push_back({2, 2, 33, 7, transposed, storage, kF, kF});
      shapes.push_back({11, 1, 7, 257, transposed, storage, kB, kF, 9});
    }
    shapes.push_back({2, 1, 5, 1100, transposed, kStorages[1], kF, kF});  // several pieces
    shapes.push_back({520, 2, 33, 9, transposed, kStorages[1], kB, kF, 3});
  }
  // Heads of DeepSeek-V3: W_UK, transposed, and W_UV.
  for (const std::int64_t tokens : {1, 32}) {
    shapes.push_back({tokens, 8, 128, 512, true, kStorages[3], kB, kB, 64, true});
    shapes.push_back({tokens, 8, 512, 128, false, kStorages[3], kB, kB, 0, true});
  }
  return shapes;
}

}  // namespace

void AddLinearSuites(std::vector<std::unique_ptr<Suite>>& to) {
  std::vector<Case<HeadLinearArgs>> head_cases;
  for (const HeadShape& s : HeadShapes())
    head_cases.push_back({ToString(s), [s] { return MakeHeadLinear(s); }, s.bench});
  to.push_back(MakeSuite("head_linear", ops::HeadLinearKernels(), std::move(head_cases)));
  std::vector<Case<LinearArgs>> cases;
  for (const Shape& s : Shapes())
    cases.push_back({ToString(s), [s] { return MakeProblem(s); }, s.bench});
  to.push_back(MakeSuite("linear", ops::LinearKernels(), std::move(cases)));
}

}  // namespace birkhoff::harness
