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

// A plan asks once, for its largest step and all its threads.
TEST(Linear, ScratchOfTheLargestStepServesEverySmallerOne) {
  const Kernel<LinearArgs>& row = LinearKernels()[0];
  for (const std::int64_t n : {64, 1536, 1920}) {
    LinearArgs a = {.w = {.format = WeightFormat::kBF16, .rows = n, .cols = 7168}, .rows = 512};
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
