#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Extent kT{1, Symbol::kTokens};

// A quarter turn of the last two pairs: adjacent channels belong together, the first two stay.
TEST(Rope, TurnsAdjacentPairsOfTheLastChannels) {
  std::vector<float> x = {7, 8, 1, 2, 3, 4};
  std::vector<float> table = {0, 1, 0, 1};
  std::vector<float> out(6);
  RunOp(kRope, {{"out", std::int64_t{0}}, {"inverse", false}, {"pairing", std::int64_t{0}}},
        {Tensor(x, DType::kF32, {1, 1, 6}), Tensor(table, DType::kF32, {1, 2, 2})},
        {Tensor(out, DType::kF32, {1, 1, 6})});
  EXPECT_THAT(out, ElementsAre(7, 8, -2, 1, -4, 3));
  RunOp(kRope, {{"out", std::int64_t{0}}, {"inverse", true}, {"pairing", std::int64_t{0}}},
        {Tensor(x, DType::kF32, {1, 6}), Tensor(table, DType::kF32, {1, 2, 2})},
        {Tensor(out, DType::kF32, {1, 6})});
  EXPECT_THAT(out, ElementsAre(7, 8, 2, -1, 4, -3));
}

// The same turns where channel i belongs to i + 2.
TEST(Rope, TurnsTheHalvesOfTheLastChannels) {
  std::vector<float> x = {7, 8, 1, 2, 3, 4};
  std::vector<float> table = {0, 1, 0, 1};
  std::vector<float> out(6);
  for (const bool inverse : {false, true}) {
    RunOp(kRope, {{"out", std::int64_t{0}}, {"inverse", inverse}, {"pairing", std::int64_t{1}}},
          {Tensor(x, DType::kF32, {1, 1, 6}), Tensor(table, DType::kF32, {1, 2, 2})},
          {Tensor(out, DType::kF32, {1, 1, 6})});
    if (inverse) {
      EXPECT_THAT(out, ElementsAre(7, 8, 3, 4, -1, -2));
    } else {
      EXPECT_THAT(out, ElementsAre(7, 8, -3, -4, 1, 2));
    }
  }
}

TEST(Rope, EveryHeadOfATokenHasItsAngle) {
  const std::vector<float> x = {1, 0, 1, 0, 1, 0, 1, 0};  // two tokens of two heads
  const std::vector<float> table = {0, 1, -1, 0};
  std::vector<float> out(8);
  const RopeArgs args{.x = x.data(),
                      .table = table.data(),
                      .out = out.data(),
                      .x_type = DType::kF32,
                      .out_type = DType::kF32,
                      .tokens = 2,
                      .heads = 2,
                      .dim = 2,
                      .pairs = 1};
  RunEveryRow(RopeKernels(), args,
              [&] { EXPECT_THAT(out, ElementsAre(0, 1, 0, 1, -1, 0, -1, 0)); });
}

// In place, there and back: the vector returns within the roundings of four products.
TEST(Rope, InverseUndoesItInPlace) {
  constexpr std::int64_t kDim = 70;
  constexpr std::int64_t kPairs = 21;
  std::vector<float> table(2 * kPairs);
  for (std::size_t i = 0; i < kPairs; ++i) {
    table[2 * i] = std::cos(0.7f * static_cast<float>(i));
    table[2 * i + 1] = std::sin(0.7f * static_cast<float>(i));
  }
  std::vector<float> x(kDim);
  RopeArgs args{.x = x.data(),
                .table = table.data(),
                .out = x.data(),
                .x_type = DType::kF32,
                .out_type = DType::kF32,
                .tokens = 1,
                .heads = 1,
                .dim = kDim,
                .pairs = kPairs};
  ThreadPool pool(1);
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalf}) {
    args.pairing = pairing;
    ForEachRow(RopeKernels(), args, [&](const Kernel<RopeArgs>& row) {
      for (std::size_t i = 0; i < kDim; ++i) x[i] = static_cast<float>(i) - 30;
      args.inverse = false;
      RunRow(row, args, pool);
      EXPECT_NE(x[kDim - 1], kDim - 31);
      args.inverse = true;
      RunRow(row, args, pool);
      for (std::size_t i = 0; i < kDim; ++i) {
        EXPECT_NEAR(x[i], static_cast<float>(i) - 30, i < kDim - 2 * kPairs ? 0 : 1e-5);
      }
    });
  }
}

TEST(Rope, InfersAndRefuses) {
  const ValueType x = Activation(DType::kF32, {kT, Const(4), Const(64)});
  const Attributes attributes = {{"out", static_cast<std::int64_t>(DType::kBF16)},
                                 {"inverse", false},
                                 {"pairing", std::int64_t{0}}};
  EXPECT_EQ(Inferred(kRope, attributes, {x, Activation(DType::kF32, {kT, Const(32), Const(2)})}),
            "BF16 [T, 4, 64]");
  EXPECT_THAT(Inferred(kRope, attributes, {x, Activation(DType::kF32, {kT, Const(33), Const(2)})}),
              HasSubstr("33 pairs do not fit"));
}

class RopeTable : public testing::Test {
 protected:
  // (cos, sin) at `position` and `frequency` from every kernel row, which must agree.
  std::pair<float, float> Entry(std::int32_t position, double frequency, bool precise) {
    float table[2] = {};
    std::pair<float, float> entry;
    const RopeTableArgs args{&position, &frequency, table, 1, 1, precise};
    RunEveryRow(RopeTableKernels(), args, [&] { entry = {table[0], table[1]}; });
    RunEveryRow(RopeTableKernels(), args, [&] {
      EXPECT_EQ(entry, (std::pair{table[0], table[1]}));
    });
    return entry;
  }
};

TEST_F(RopeTable, IsCosineAndSine) {
  EXPECT_EQ(Entry(0, 0.3, false), (std::pair{1.0f, 0.0f}));
  EXPECT_NEAR(Entry(3, 0.25, false).first, std::cos(0.75), 1e-7);
  EXPECT_NEAR(Entry(3, 0.25, false).second, std::sin(0.75), 1e-7);
}

TEST_F(RopeTable, ReducesLargeAnglesFully) {
  const auto [c, s] = Entry(1000000, 1.0, true);
  EXPECT_FLOAT_EQ(c, static_cast<float>(std::cos(1e6)));
  EXPECT_FLOAT_EQ(s, static_cast<float>(std::sin(1e6)));
}

// Near position 10^6 the f32 product of the default mode is up to 2^-5 rad off; precise is not.
TEST_F(RopeTable, DefaultModeRoundsTheAngleAndPreciseDoesNot) {
  const double frequency = 0.6876560;
  const std::int32_t position = 999983;
  const double exact = position * frequency;
  const float rounded = static_cast<float>(position) * static_cast<float>(frequency);
  ASSERT_GT(std::abs(rounded - exact), 1e-3);
  EXPECT_FLOAT_EQ(Entry(position, frequency, true).second, static_cast<float>(std::sin(exact)));
  EXPECT_FLOAT_EQ(Entry(position, frequency, false).second,
                  static_cast<float>(std::sin(static_cast<double>(rounded))));
}

TEST_F(RopeTable, BindsPositionsAndFrequencies) {
  std::vector<std::int32_t> positions = {0, 2};
  std::vector<double> frequency = {0.5, 0.25, 0.125};
  std::vector<float> table(12);
  RunOp(kRopeTable, {{"precise", true}},
        {Tensor(positions, DType::kI32, {2}), Tensor(frequency.data(), DType::kF32, {3})},
        {Tensor(table, DType::kF32, {2, 3, 2})});
  EXPECT_EQ(table[4], 1.0f);
  EXPECT_EQ(table[8], static_cast<float>(std::cos(0.5)));
  EXPECT_EQ(table[11], static_cast<float>(std::sin(0.25)));
  const ValueType f{Kind::kFrequency, DType::kF32, {Const(3)}};
  EXPECT_EQ(Inferred(kRopeTable, {{"precise", true}}, {Activation(DType::kI32, {kT}), f}),
            "F32 [T, 3, 2]");
}

}  // namespace
}  // namespace birkhoff::ops
