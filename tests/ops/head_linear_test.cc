#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"
#include "weight_bytes.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr DType kF = DType::kF32;
constexpr Extent kT{1, Symbol::kTokens};

std::vector<float> Random(std::int64_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& v : x) v = normal(random);
  return x;
}

TEST(HeadLinear, EveryHeadHasItsMatrix) {
  const std::vector<float> w0 = {1, 2, 3, 4, 5, 6};  // [2, 3]
  const std::vector<float> w1 = {0, 1, 0, -1, 0, 2};
  const WeightMatrix w[] = {
      {.data = w0.data(), .format = WeightFormat::kF32, .rows = 2, .cols = 3},
      {.data = w1.data(), .format = WeightFormat::kF32, .rows = 2, .cols = 3}};
  std::vector<float> x = {1, 10, 100, 1, 10, 100};
  std::vector<float> out(4);
  Operand matrices = Tensor(nullptr, kF, {2, 2, 3});
  matrices.matrices = w;
  const Attributes::Entry to_f32 = {"out", static_cast<std::int64_t>(kF)};
  RunOp(kHeadLinear, {{"transposed", false}, to_f32}, {Tensor(x, kF, {1, 2, 3}), matrices},
        {Tensor(out, kF, {1, 2, 2})});
  EXPECT_THAT(out, ElementsAre(321, 654, 10, 199));

  // Columns of wider rows: those that a head takes are 3 apart.
  Operand columns = Tensor(x, kF, {1, 2, 2});
  columns.layout = Layout::kColumns;
  columns.row = 3;
  out.resize(6);
  RunOp(kHeadLinear, {{"transposed", true}, to_f32}, {columns, matrices},
        {Tensor(out, kF, {1, 2, 3})});
  EXPECT_THAT(out, ElementsAre(41, 52, 63, -10, 1, 20));
}

// The two orders of addition are within the errors of both of them.
TEST(HeadLinear, TransposedIsTheProductWithTheTransposedMatrix) {
  constexpr std::int64_t kK = 61;
  constexpr std::int64_t kN = 75;
  constexpr std::int64_t kRows = 19;
  std::mt19937 random(2);
  const std::vector<float> w = Random(kK * kN, random);
  std::vector<float> turned(w.size());
  for (std::size_t k = 0; k < kK; ++k) {
    for (std::size_t n = 0; n < kN; ++n) turned[n * kK + k] = w[k * kN + n];
  }
  const std::vector<float> x = Random(kRows * kK, random);
  const WeightMatrix of_k = {
      .data = w.data(), .format = WeightFormat::kF32, .rows = kK, .cols = kN};
  const WeightMatrix of_n = {
      .data = turned.data(), .format = WeightFormat::kF32, .rows = kN, .cols = kK};
  std::vector<float> out(kRows * kN);
  std::vector<float> expected(out.size());
  HeadLinearArgs args{.x = x.data(),
                      .w = &of_n,
                      .out = expected.data(),
                      .x_type = kF,
                      .out_type = kF,
                      .tokens = kRows,
                      .heads = 1,
                      .x_row = kK};
  ThreadPool pool(1);
  ForEachRow(HeadLinearKernels(), args, [&](const Kernel<HeadLinearArgs>& row) {
    HeadLinearArgs plain = args;
    RunRow(row, plain, pool);
    HeadLinearArgs transposed = args;
    transposed.transposed = true;
    transposed.w = &of_k;
    transposed.out = out.data();
    RunRow(row, transposed, pool);
    for (std::size_t i = 0; i < out.size(); ++i) {
      double magnitude = 0;
      for (std::size_t k = 0; k < kK; ++k)
        magnitude += std::abs(static_cast<double>(x[i / kN * kK + k]) * w[k * kN + i % kN]);
      EXPECT_NEAR(out[i], expected[i], 2 * kK * 0x1p-24 * magnitude) << i;
    }
  });
}

TEST(HeadLinear, ATokenHasTheBitsThatItHasAlone) {
  constexpr std::int64_t kTokens = 21;
  constexpr std::int64_t kHeads = 3;
  std::mt19937 random(1);
  for (const WeightFormat format : kFormats) {
    for (const bool transposed : {false, true}) {
      constexpr std::int64_t kRows = 37;
      constexpr std::int64_t kCols = 96;
      std::vector<WeightBytes> bytes;
      std::vector<WeightMatrix> w;
      for (int h = 0; h < kHeads; ++h) {
        bytes.push_back(MakeWeights(format, kRows, kCols, random));
        w.push_back(bytes.back().matrix);
      }
      const std::int64_t k = transposed ? kRows : kCols;
      const std::int64_t n = transposed ? kCols : kRows;
      const std::vector<float> x = Random(kTokens * kHeads * k, random);
      std::vector<float> together(static_cast<std::size_t>(kTokens * kHeads * n));
      std::vector<float> alone(static_cast<std::size_t>(kHeads * n));
      const HeadLinearArgs args{.x = x.data(),
                                .w = w.data(),
                                .out = together.data(),
                                .x_type = kF,
                                .out_type = kF,
                                .transposed = transposed,
                                .tokens = kTokens,
                                .heads = kHeads,
                                .x_row = k};
      ThreadPool pool(2);
      ForEachRow(HeadLinearKernels(), args, [&](const Kernel<HeadLinearArgs>& row) {
        RunRow(row, args, pool);
        HeadLinearArgs one = args;
        one.out = alone.data();
        one.tokens = 1;
        for (std::int64_t t = 0; t < kTokens; ++t) {
          one.x = x.data() + t * kHeads * k;
          RunRow(row, one, pool);
          EXPECT_EQ(std::memcmp(alone.data(), together.data() + t * kHeads * n,
                                alone.size() * sizeof(float)),
                    0)
              << "format " << static_cast<int>(format) << " token " << t;
        }
      });
    }
  }
}

// A plan asks once, for its largest step and all its threads.
TEST(HeadLinear, ScratchOfTheLargestStepServesEverySmallerOne) {
  const auto& row = HeadLinearKernels()[0];
  const WeightMatrix w = {.format = WeightFormat::kBF16, .rows = 128, .cols = 512};
  for (const bool transposed : {false, true}) {
    HeadLinearArgs a{.w = &w, .transposed = transposed, .tokens = 600, .heads = 4};
    const std::size_t planned = row.scratch(a, 8);
    for (a.tokens = 0; a.tokens < 600; ++a.tokens) EXPECT_LE(row.scratch(a, 8), planned);
  }
}

TEST(HeadLinear, InfersAndRefuses) {
  const auto infer = [](bool transposed, std::vector<Extent> x, std::vector<Extent> w,
                        Kind kind = Kind::kMatrices) {
    return Inferred(
        kHeadLinear, {{"transposed", transposed}, {"out", std::int64_t{0}}},
        {{Kind::kActivation, DType::kBF16, std::move(x)}, {kind, DType::kBF16, std::move(w)}});
  };
  EXPECT_EQ(infer(false, {kT, Const(4), Const(8)}, {Const(4), Const(6), Const(8)}),
            "F32 [T, 4, 6]");
  EXPECT_EQ(infer(true, {kT, Const(4), Const(8)}, {Const(4), Const(8), Const(6)}), "F32 [T, 4, 6]");
  EXPECT_THAT(infer(true, {kT, Const(4), Const(8)}, {Const(4), Const(6), Const(8)}),
              HasSubstr("head_linear x: expected [T, 4, 6], got BF16 [T, 4, 8]"));
  EXPECT_THAT(infer(false, {kT, Const(3), Const(8)}, {Const(4), Const(6), Const(8)}),
              HasSubstr("head_linear x: expected [T, 4, 8]"));
  EXPECT_THAT(infer(false, {kT, Const(3), Const(8)}, {Const(6), Const(8)}, Kind::kMatrix),
              HasSubstr("head_linear w: expected matrices"));
}

}  // namespace
}  // namespace birkhoff::ops
