#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"
#include "weight_bytes.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

constexpr Extent kT{1, Symbol::kTokens};

double E4M3(unsigned code) {
  const double magnitude = (code & 0x78) == 0
                               ? std::ldexp(code & 7, -9)
                               : std::ldexp(8 + (code & 7), static_cast<int>(code >> 3 & 15) - 10);
  if ((code & 0x7f) == 0x7f) return std::numeric_limits<double>::quiet_NaN();
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// Row r of the matrix holds one element, the others are zero, and x is all ones: the outputs are
// the weights themselves.
void ExpectWeights(const WeightMatrix& w, const std::vector<float>& expected) {
  const std::vector<float> ones(static_cast<std::size_t>(10 * w.cols), 1.0f);
  for (const std::int64_t rows : {1, 10}) {  // both ways of the kernels
    std::vector<float> out(static_cast<std::size_t>(rows * w.rows));
    const LinearArgs args{.x = ones.data(),
                          .w = w,
                          .out = out.data(),
                          .x_type = DType::kF32,
                          .out_type = DType::kF32,
                          .rows = rows};
    RunEveryRow(LinearKernels(), args, [&] {
      int wrong = 0;
      for (std::size_t i = 0; i < out.size() && wrong < 5; ++i) {
        const float e = expected[i % expected.size()];
        if (out[i] == e || (std::isnan(out[i]) && std::isnan(e))) continue;
        ++wrong;
        ADD_FAILURE() << "weight " << i % expected.size() << ": expected " << e << ", got "
                      << out[i];
      }
    });
  }
}

TEST(Linear, KnowsEveryE4M3CodeAtTheEndsOfTheScales) {
  constexpr std::int64_t kCols = 97;  // in pairs of runs, alone and in a partial run
  for (const int byte : {0, 1, 7, 119, 127, 246, 247, 253, 254, 255}) {
    std::vector<std::uint8_t> data(256 * kCols);
    const std::vector<std::uint8_t> scale(8 * 4, static_cast<std::uint8_t>(byte));
    std::vector<float> expected(256);
    for (unsigned code = 0; code < 256; ++code) {
      data[code * kCols + code % kCols] = static_cast<std::uint8_t>(code);
      expected[code] = byte == 255 ? std::numeric_limits<float>::quiet_NaN()
                                   : static_cast<float>(std::ldexp(E4M3(code), byte - 127));
    }
    SCOPED_TRACE(byte);
    ExpectWeights({.data = data.data(),
                   .scale = scale.data(),
                   .format = WeightFormat::kFp8Block,
                   .rows = 256,
                   .cols = kCols,
                   .block_rows = 32,
                   .block_cols = 32},
                  expected);
  }
}

TEST(Linear, KnowsEveryE2M1CodeAtEveryScale) {
  constexpr double kMagnitude[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  constexpr std::int64_t kRows = 256 * 16;
  constexpr std::int64_t kCols = 160;
  std::vector<std::uint8_t> data(kRows * kCols / 2);
  std::vector<std::uint8_t> scale(kRows * kCols / 32);
  std::vector<float> expected(kRows);
  for (std::size_t r = 0; r < kRows; ++r) {
    const unsigned code = r % 16;
    const auto byte = static_cast<std::uint8_t>(r / 16);
    const std::size_t column = r * 7 % kCols;
    data[(r * kCols + column) / 2] = static_cast<std::uint8_t>(column % 2 == 0 ? code : code << 4);
    scale[(r * kCols + column) / 32] = byte;
    const double value = (code & 8) != 0 ? -kMagnitude[code & 7] : kMagnitude[code & 7];
    expected[r] = byte == 255 ? std::numeric_limits<float>::quiet_NaN()
                              : static_cast<float>(std::ldexp(value, byte - 127));
  }
  ExpectWeights({.data = data.data(),
                 .scale = scale.data(),
                 .format = WeightFormat::kMxfp4,
                 .rows = kRows,
                 .cols = kCols,
                 .block_rows = 1,
                 .block_cols = 32},
                expected);
}

TEST(Linear, KnowsF16FromItsDenormalsToInfinity) {
  const std::vector<std::uint16_t> data = {0x0000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00,
                                           0xbc01, 0x7bff, 0x7c00, 0xfc00, 0x7e00};
  const std::vector<float> expected = {0,
                                       0x1p-24f,
                                       -0x1p-24f,
                                       0x3ffp-24f,
                                       0x1p-14f,
                                       1,
                                       -1.0009765625f,
                                       65504,
                                       HUGE_VALF,
                                       -HUGE_VALF,
                                       std::numeric_limits<float>::quiet_NaN()};
  ExpectWeights({.data = data.data(),
                 .format = WeightFormat::kF16,
                 .rows = static_cast<std::int64_t>(data.size()),
                 .cols = 1},
                expected);
}

TEST(Linear, ARowHasTheBitsThatItHasAlone) {
  constexpr std::int64_t kRows = 29;
  constexpr std::int64_t kN = 31;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const WeightFormat format : kFormats) {
    const std::int64_t k = format == WeightFormat::kMxfp4 ? 544 : 557;
    const WeightBytes w = MakeWeights(format, kN, k, random);
    std::vector<float> x(static_cast<std::size_t>(kRows * k));
    for (float& v : x) v = normal(random);
    std::vector<float> together(kRows * kN);
    std::vector<float> alone(kN);
    LinearArgs args{.x = x.data(),
                    .w = w.matrix,
                    .out = together.data(),
                    .x_type = DType::kF32,
                    .out_type = DType::kF32,
                    .rows = kRows};
    ThreadPool pool(2);
    ForEachRow(LinearKernels(), args, [&](const Kernel<LinearArgs>& row) {
      RunRow(row, args, pool);
      LinearArgs one = args;
      one.out = alone.data();
      one.rows = 1;
      for (std::int64_t m = 0; m < kRows; ++m) {
        one.x = x.data() + m * k;
        RunRow(row, one, pool);
        EXPECT_EQ(std::memcmp(alone.data(), together.data() + m * kN, sizeof(float) * kN), 0)
            << "format " << static_cast<int>(format) << " row " << m;
      }
    });
  }
}

std::vector<float> Normal(std::int64_t n, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

template <class T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), sizeof(T) * a.size()) == 0;
}

// Every kernel has the bits of the f32 matrix that it stands for.
TEST(Linear, AScaleMayBelongToARow) {
  constexpr std::int64_t kN = 75;
  std::mt19937 random(2);
  for (const std::int64_t k : {1, 31, 32, 97, 160, 1100}) {
    const WeightBytes w = MakeChannelWeights(kN, k, random);
    std::vector<float> wide;
    for (std::int64_t i = 0; i < kN * k; ++i) {
      float scale = 0;
      std::memcpy(&scale, w.scale.data() + i / k * 4, 4);
      wide.push_back(static_cast<float>(E4M3(w.data[static_cast<std::size_t>(i)])) * scale);
    }
    for (const std::int64_t rows : {3, 17}) {
      const std::vector<float> x = Normal(rows * k, random);
      std::vector<float> out(static_cast<std::size_t>(rows * kN));
      std::vector<float> expected(out.size());
      LinearArgs args{.x = x.data(),
                      .w = w.matrix,
                      .out = out.data(),
                      .x_type = DType::kF32,
                      .out_type = DType::kF32,
                      .rows = rows};
      LinearArgs plain = args;
      plain.w = {.data = wide.data(), .format = WeightFormat::kF32, .rows = kN, .cols = k};
      plain.out = expected.data();
      ThreadPool pool(2);
      ForEachRow(LinearKernels(), args, [&](const Kernel<LinearArgs>& row) {
        RunRow(row, args, pool);
        RunRow(row, plain, pool);
        EXPECT_TRUE(SameBits(out, expected)) << "K = " << k << ", " << rows << " rows";
      });
    }
  }
}

TEST(Linear, Fp8RowsCountAsTheF32RowsThatTheyStandFor) {
  constexpr std::int64_t kN = 21;
  constexpr std::int64_t kK = 97;
  std::mt19937 random(3);
  const WeightBytes w = MakeChannelWeights(2 * kN, kK, random);
  for (const std::int64_t rows : {1, 9, 517}) {  // more than are widened at a time
    for (const std::int64_t x_group : {std::int64_t{32}, 2 * kK}) {
      const std::int64_t scales = (2 * kK + x_group - 1) / x_group;
      const std::vector<float> scale = Normal(rows * scales, random);
      std::vector<std::uint8_t> codes;
      std::vector<float> wide;
      for (std::int64_t i = 0; i < rows * 2 * kK; ++i) {
        codes.push_back(static_cast<std::uint8_t>(random() & 0xbf));
        const std::int64_t s = i / (2 * kK) * scales + i % (2 * kK) / x_group;
        wide.push_back(static_cast<float>(E4M3(codes.back())) * scale[static_cast<std::size_t>(s)]);
      }
      std::vector<float> out(static_cast<std::size_t>(rows * 2 * kN));
      std::vector<float> expected(out.size());
      const LinearArgs args{.x = codes.data(),
                            .x_scale = scale.data(),
                            .w = w.matrix,
                            .out = out.data(),
                            .x_type = DType::kF8E4M3,
                            .out_type = DType::kF32,
                            .rows = rows,
                            .groups = 2,
                            .x_group = x_group};
      LinearArgs plain = args;
      plain.x = wide.data();
      plain.x_type = DType::kF32;
      plain.out = expected.data();
      ThreadPool pool(2);
      ForEachRow(LinearKernels(), args, [&](const Kernel<LinearArgs>& row) {
        RunRow(row, args, pool);
        RunRow(row, plain, pool);
        EXPECT_TRUE(SameBits(out, expected)) << rows << " rows, groups of " << x_group;
      });
    }
  }
}

TEST(Linear, KnowsEveryE4M3CodeOfX) {
  std::vector<std::uint8_t> codes(256);
  for (std::size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::uint8_t>(i);
  const std::vector<float> scales(256, 1.0f);
  const float one = 1;
  std::vector<float> out(256);
  const LinearArgs args{.x = codes.data(),
                        .x_scale = scales.data(),
                        .w = {.data = &one, .format = WeightFormat::kF32, .rows = 1, .cols = 1},
                        .out = out.data(),
                        .x_type = DType::kF8E4M3,
                        .out_type = DType::kF32,
                        .rows = 256,
                        .x_group = 1};
  RunEveryRow(LinearKernels(), args, [&] {
    for (unsigned code = 0; code < 256; ++code) {
      if (std::isnan(E4M3(code))) {
        EXPECT_TRUE(std::isnan(out[code])) << code;
      } else {
        EXPECT_EQ(out[code], E4M3(code)) << code;
      }
    }
  });
}

TEST(Linear, MatricesSideBySideHaveTheBitsOfEachAlone) {
  constexpr std::int64_t kK = 96;
  constexpr std::int64_t kN[] = {33, 7, 80};
  std::mt19937 random(4);
  WeightBytes w[] = {MakeWeights(WeightFormat::kBF16, kN[0], kK, random),
                     MakeChannelWeights(kN[1], kK, random),
                     MakeWeights(WeightFormat::kMxfp4, kN[2], kK, random)};
  const auto matrix = [&](int i) {
    return Operand{.matrices = &w[i].matrix, .rank = 2, .dim = {kN[i], kK}};
  };
  for (const std::int64_t rows : {0, 2, 13}) {
    std::vector<float> x = Normal(rows * kK, random);
    const Operand in = Tensor(x, DType::kF32, {rows, kK});
    std::vector<bf16> together(static_cast<std::size_t>(rows * (33 + 7 + 80)));
    const Attributes attributes = {{"groups", std::int64_t{1}},
                                   {"out", static_cast<std::int64_t>(DType::kBF16)}};
    RunOp(kLinear, attributes, {in, matrix(0), matrix(1), matrix(2)},
          {Tensor(together, DType::kBF16, {rows, 120})});
    std::int64_t column = 0;
    for (int i = 0; i < 3; ++i) {
      std::vector<bf16> alone(static_cast<std::size_t>(rows * kN[i]));
      RunOp(kLinear, attributes, {in, matrix(i)}, {Tensor(alone, DType::kBF16, {rows, kN[i]})});
      for (std::int64_t m = 0; m < rows; ++m) {
        EXPECT_EQ(std::memcmp(together.data() + m * 120 + column, alone.data() + m * kN[i],
                              static_cast<std::size_t>(2 * kN[i])),
                  0)
            << "matrix " << i << ", row " << m << " of " << rows;
      }
      column += kN[i];
    }
  }
}

TEST(Linear, ReadsColumnsOfWiderRows) {
  constexpr std::int64_t kRows = 11;
  constexpr std::int64_t kN = 9;
  constexpr std::int64_t kK = 40;
  constexpr std::int64_t kWide = 100;
  std::mt19937 random(5);
  std::vector<float> wide = Normal(kRows * kWide, random);
  std::vector<float> x;
  for (std::int64_t m = 0; m < kRows; ++m)
    x.insert(x.end(), wide.begin() + m * kWide + 30, wide.begin() + m * kWide + 30 + kK);
  WeightBytes w = MakeWeights(WeightFormat::kBF16, kN, kK, random);
  const Operand matrix{.matrices = &w.matrix, .rank = 2, .dim = {kN, kK}};
  Operand columns = Tensor(wide.data() + 30, DType::kF32, {kRows, kK});
  columns.layout = Layout::kColumns;
  columns.row = kWide;
  const Attributes attributes = {{"groups", std::int64_t{1}},
                                 {"out", static_cast<std::int64_t>(DType::kF32)}};
  std::vector<float> out(kRows * kN);
  std::vector<float> expected(kRows * kN);
  RunOp(kLinear, attributes, {columns, matrix}, {Tensor(out, DType::kF32, {kRows, kN})});
  RunOp(kLinear, attributes, {Tensor(x, DType::kF32, {kRows, kK}), matrix},
        {Tensor(expected, DType::kF32, {kRows, kN})});
  EXPECT_TRUE(SameBits(out, expected));
}

TEST(Linear, KernelsRefuseBlocksThatCutARun) {
  const LinearArgs args{.w = {.format = WeightFormat::kFp8Block,
                              .rows = 96,
                              .cols = 96,
                              .block_rows = 48,
                              .block_cols = 48}};
  const auto table = LinearKernels();
  for (const auto& row : table.first(table.size() - 1)) {
    const Refusal refusal = row.refuses(args, HostDevice());
    EXPECT_THAT(refusal.why(), testing::AnyOf(HasSubstr("multiple of 32 columns, has 48"),
                                              HasSubstr("needs avx")));
  }
  EXPECT_FALSE(table.back().refuses(args, HostDevice()));
}

TEST(Linear, SaysWhichShapeIsWrong) {
  const auto infer = [](std::int64_t groups, std::vector<Extent> x, std::vector<Extent> w) {
    return Inferred(kLinear, {{"groups", groups}, {"out", std::int64_t{0}}},
                    {{Kind::kActivation, DType::kBF16, std::move(x)},
                     {Kind::kMatrix, DType::kBF16, std::move(w)}});
  };
  EXPECT_EQ(infer(2, {kT, Const(64)}, {Const(6), Const(32)}), "F32 [T, 6]");
  EXPECT_EQ(infer(2, {kT, Const(2), Const(32)}, {Const(6), Const(32)}), "F32 [T, 6]");
  EXPECT_EQ(infer(1, {kT, Const(64)}, {Const(6), Const(32)}),
            "linear x: expected [T, 32], got BF16 [T, 64]");
  EXPECT_THAT(infer(4, {kT, Const(128)}, {Const(6), Const(32)}),
              HasSubstr("expected rows in 4 equal groups"));
}

TEST(Linear, InfersSeveralMatricesAndFp8Rows) {
  const auto matrix = [](std::int64_t rows, std::int64_t cols) {
    return ValueType{Kind::kMatrix, DType::kBF16, {Const(rows), Const(cols)}};
  };
  const Attributes attributes = {{"groups", std::int64_t{1}},
                                 {"out", static_cast<std::int64_t>(DType::kF32)},
                                 {"x_group", std::int64_t{128}}};
  const ValueType x = Activation(DType::kBF16, {kT, Const(160)});
  EXPECT_EQ(Inferred(kLinear, attributes, {x, matrix(6, 160), matrix(3, 160)}), "F32 [T, 9]");
  EXPECT_THAT(Inferred(kLinear, attributes, {x, matrix(6, 160), matrix(3, 161)}),
              HasSubstr("linear w: expected [3, 160], got matrix BF16 [3, 161]"));
  EXPECT_THAT(Inferred(kLinear, {{"groups", std::int64_t{2}}, {"out", std::int64_t{0}}},
                       {x, matrix(6, 80), matrix(2, 80)}),
              HasSubstr("linear groups: expected 1 with 2 matrices, got 2"));
  EXPECT_THAT(Inferred(kLinear, attributes, {x}), HasSubstr("expected 2 operands, got 1"));

  const ValueType xq = Activation(DType::kF8E4M3, {kT, Const(160)});
  const auto scales = [](std::int64_t n) { return Activation(DType::kF32, {kT, Const(n)}); };
  EXPECT_EQ(Inferred(kLinear, attributes, {xq, scales(2), matrix(6, 160)}), "F32 [T, 6]");
  EXPECT_THAT(Inferred(kLinear, attributes, {xq, scales(1), matrix(6, 160)}),
              HasSubstr("linear x scale: expected [T, 2], got F32 [T, 1]"));
  EXPECT_THAT(Inferred(kLinear, attributes, {xq, scales(2)}), HasSubstr("expected 3 operands"));
  EXPECT_THAT(Inferred(kLinear, attributes, {xq, matrix(6, 160), matrix(6, 160)}),
              HasSubstr("linear x scale: expected activation, got matrix"));
  EXPECT_THAT(
      Inferred(
          kLinear,
          {{"groups", std::int64_t{1}}, {"out", std::int64_t{0}}, {"x_group", std::int64_t{0}}},
          {xq, scales(2), matrix(6, 160)}),
      HasSubstr("linear x_group: expected at least 1"));
}

// A plan asks once, for its largest step and all its threads.
TEST(Linear, ScratchOfTheLargestStepServesEverySmallerOne) {
  const Kernel<LinearArgs>& row = LinearKernels()[0];
  for (const std::int64_t n : {64, 1536, 1920}) {
    LinearArgs a = {.w = {.format = WeightFormat::kBF16, .rows = n, .cols = 7168},
                    .x_type = n == 1536 ? DType::kF8E4M3 : DType::kBF16,
                    .rows = 512,
                    .x_group = 128};
    for (const int threads : {1, 3, 8}) {
      const std::size_t planned = row.scratch(a, threads);
      for (const std::int64_t rows : {1, 8, 9, 191, 192, 383, 384, 511}) {
        LinearArgs smaller = a;
        smaller.rows = rows;
        for (int fewer = 1; fewer <= threads; ++fewer)
          EXPECT_LE(row.scratch(smaller, fewer), planned)
              << rows << " rows, " << fewer << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace birkhoff::ops
