#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::Each;
using testing::FloatNear;
using testing::HasSubstr;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// The first `count` tokens of one sequence at slot 1 of 2, D = 4 channels without rotation. k is 1,
// g and ape are 0, the norm weight is 1 and its epsilon 0, until a test changes them.
struct OneSequence {
  static constexpr std::int64_t kDim = 4;
  static constexpr std::int64_t kEntries = 16;

  OneSequence(std::int64_t count, std::int64_t ratio, bool overlap)
      : width((overlap ? 2 : 1) * kDim), end(static_cast<std::int32_t>(count)) {
    k.assign(static_cast<std::size_t>(count * width), 1.0f);
    g.assign(k.size(), 0.0f);
    ape.assign(static_cast<std::size_t>(ratio * width), 0.0f);
    norm.assign(kDim, 1.0f);
    frequency = {1.0, 0.01};
    const std::int64_t capacity = (overlap ? 2 : 1) * ratio;
    k_ring.assign(static_cast<std::size_t>(2 * capacity * width), kNaN);
    z_ring = k_ring;
    entries.assign(2 * kEntries * kDim, kNaN);
    args = {.k = k.data(),
            .g = g.data(),
            .ape = ape.data(),
            .norm = norm.data(),
            .frequency = frequency.data(),
            .k_ring = {k_ring.data(), capacity, width},
            .z_ring = {z_ring.data(), capacity, width},
            .entries = {entries.data(), kEntries, kDim},
            .batch = {1, begin, &slot, &past},
            .type = DType::kF32,
            .tokens = count,
            .dim = kDim,
            .ratio = ratio,
            .overlap = overlap,
            .pairs = 0,
            .eps = 0};
  }

  // Channels [first, first + kDim) of a token.
  static void Set(std::vector<float>& rows, std::int64_t at, float value) {
    for (std::int64_t i = 0; i < kDim; ++i) rows[static_cast<std::size_t>(at + i)] = value;
  }
  std::vector<float> Entry(std::int64_t w) const {
    const auto first = entries.begin() + (kEntries + w) * kDim;
    return {first, first + kDim};
  }

  std::int64_t width = 0;
  std::vector<float> k, g, ape, norm, k_ring, z_ring, entries;
  std::vector<double> frequency;
  std::int32_t end = 0;
  const std::int32_t begin[2] = {0, end};
  const std::int32_t slot = 1;
  std::int64_t past = 0;
  CompressArgs args = {};
};

TEST(Compress, PoolsByTheSoftmaxOfTheGate) {
  OneSequence s(2, 2, false);
  // Channel 0 pools 2 and 5 with weights 1/4 and 3/4, given half by the gate and half by ape; the
  // others pool 1 and 1. Then all are divided by their root mean square.
  s.k[0] = 2;
  s.k[4] = 5;
  s.g[4] = std::log(3.0f) / 2;
  s.ape[4] = std::log(3.0f) / 2;
  const float v = 2.0f / 4 + 5.0f * 3 / 4;
  const float rms = std::sqrt((v * v + 3) / 4);
  RunEveryRow(CompressKernels(), s.args, [&] {
    EXPECT_NEAR(s.Entry(0)[0], v / rms, 1e-6);
    EXPECT_NEAR(s.Entry(0)[1], 1 / rms, 1e-6);
    EXPECT_TRUE(std::isnan(s.Entry(1)[0])) << "wrote an entry that is not closed";
  });
}

TEST(Compress, OverlapPoolsTheWindowBeforeByTheOtherHalf) {
  OneSequence s(8, 4, true);
  s.args.eps = 1;
  // Equal gates. The first half of tokens 0 ... 3 is 2, the second half of tokens 4 ... 7 is 6.
  for (std::int64_t t = 0; t < 4; ++t) OneSequence::Set(s.k, t * s.width, 2.0f);
  for (std::int64_t t = 4; t < 8; ++t) OneSequence::Set(s.k, t * s.width + 4, 6.0f);
  RunEveryRow(CompressKernels(), s.args, [&] {
    EXPECT_THAT(s.Entry(0), Each(FloatNear(1 / std::sqrt(2.0f), 1e-6f)));
    EXPECT_THAT(s.Entry(1), Each(FloatNear(4 / std::sqrt(17.0f), 1e-6f)));
  });
}

TEST(Compress, RotatesToTheFirstTokenOfTheWindow) {
  OneSequence s(6, 2, false);
  s.args.pairs = 1;
  RunEveryRow(CompressKernels(), s.args, [&] {
    for (std::int64_t w = 0; w < 3; ++w) {
      const double angle = 2.0 * static_cast<double>(w);
      EXPECT_NEAR(s.Entry(w)[1], 1, 1e-6);
      EXPECT_NEAR(s.Entry(w)[2], std::cos(angle) - std::sin(angle), 1e-6);
      EXPECT_NEAR(s.Entry(w)[3], std::sin(angle) + std::cos(angle), 1e-6);
    }
  });
}

TEST(Compress, RoundsTheAngleUnlessPrecise) {
  OneSequence s(1, 1, false);
  s.args.pairs = 1;
  s.frequency[0] = 0.1;
  s.past = 40003;
  s.entries.assign(2 * 40004 * OneSequence::kDim, kNaN);
  s.args.entries = {s.entries.data(), 40004, OneSequence::kDim};
  for (const bool precise : {false, true}) {
    s.args.precise = precise;
    const double angle = precise ? 40003 * 0.1 : 40003.0f * 0.1f;
    RunEveryRow(CompressKernels(), s.args, [&] {
      const float* entry = s.entries.data() + (40004 + 40003) * OneSequence::kDim;
      EXPECT_NEAR(entry[2], std::cos(angle) - std::sin(angle), 1e-6);
    });
  }
  EXPECT_GT(std::abs(40003 * 0.1 - static_cast<double>(40003.0f * 0.1f)), 1e-5);
}

TEST(Compress, KeepsTheGateWithApeInTheRing) {
  OneSequence s(3, 2, false);
  OneSequence::Set(s.g, 2 * s.width, 0.5f);
  OneSequence::Set(s.ape, 0, 0.25f);
  RunEveryRow(CompressKernels(), s.args, [&] {
    EXPECT_EQ(s.z_ring[2 * 4], 0.75f) << "position 2 at row 0 of slot 1";
    EXPECT_EQ(s.z_ring[3 * 4], 0.0f) << "position 1 at row 1 of slot 1";
    EXPECT_TRUE(std::isnan(s.z_ring[0])) << "slot 0";
  });
}

TEST(Compress, ANaNTokenHarmsOnlyTheEntriesThatPoolIt) {
  for (const bool overlap : {false, true}) {
    OneSequence s(20, 4, overlap);
    for (float& x : std::span(s.k).subspan(static_cast<std::size_t>(5 * s.width),
                                           static_cast<std::size_t>(s.width)))
      x = kNaN;
    RunEveryRow(CompressKernels(), s.args, [&] {
      for (std::int64_t w = 0; w < 5; ++w)
        EXPECT_EQ(std::isnan(s.Entry(w)[0]), w == 1 || (overlap && w == 2)) << w;
    });
  }
}

TEST(Compress, RunsAsAnOp) {
  OneSequence s(9, 4, true);
  for (std::size_t i = 0; i < s.k.size(); ++i) {
    s.k[i] = std::sin(static_cast<float>(i));
    s.g[i] = std::cos(static_cast<float>(i));
  }
  s.ape[3] = s.norm[2] = 0.5f;
  s.args.pairs = 2;
  s.args.precise = true;
  s.args.eps = 1e-3f;
  ThreadPool pool(1);
  RunRow(CompressKernels().back(), s.args, pool);
  const auto entries = std::exchange(s.entries, std::vector<float>(s.entries.size(), kNaN));
  const auto k_ring = std::exchange(s.k_ring, std::vector<float>(s.k_ring.size(), kNaN));
  const auto z_ring = std::exchange(s.z_ring, std::vector<float>(s.z_ring.size(), kNaN));

  constexpr DType kF = DType::kF32;
  const std::vector<Operand> states = {Tensor(s.k_ring, kF, {2, 8, 8}),
                                       Tensor(s.z_ring, kF, {2, 8, 8}),
                                       Tensor(s.entries, kF, {2, OneSequence::kEntries, 4})};
  RunOp(kCompress, {{"overlap", true}, {"precise", true}, {"eps", 1e-3}},
        {Tensor(s.k, kF, {9, 8}), Tensor(s.g, kF, {9, 8}), Tensor(s.ape, kF, {4, 8}),
         Tensor(s.norm, kF, {4}), Tensor(s.frequency, kF, {2}), states[0], states[1], states[2]},
        states, s.args.batch);
  EXPECT_THAT(s.entries, testing::Pointwise(testing::NanSensitiveFloatNear(1e-5f), entries));
  EXPECT_THAT(s.k_ring, testing::Pointwise(testing::NanSensitiveFloatEq(), k_ring));
  EXPECT_THAT(s.z_ring, testing::Pointwise(testing::NanSensitiveFloatEq(), z_ring));
}

TEST(CompressTypes, ResultsAreTheStatesAndReplaceThem) {
  const Extent tokens{1, Symbol::kTokens};
  std::vector<ValueType> in = {{Kind::kActivation, DType::kF32, {tokens, Const(32)}},
                               {Kind::kActivation, DType::kF32, {tokens, Const(32)}},
                               {Kind::kVector, DType::kF32, {Const(4), Const(32)}},
                               {Kind::kVector, DType::kF32, {Const(16)}},
                               {Kind::kFrequency, DType::kF32, {Const(4)}},
                               {Kind::kState, DType::kF32, {Const(2), Const(11), Const(32)}},
                               {Kind::kState, DType::kF32, {Const(2), Const(11), Const(32)}},
                               {Kind::kState, DType::kBF16, {Const(2), Const(9), Const(16)}}};
  const auto infer = [&](bool overlap) {
    return kCompress.infer({{"overlap", overlap}, {"precise", false}, {"eps", 1e-6}}, in);
  };
  const auto result = infer(true);
  ASSERT_TRUE(result.ok()) << result.status().message();
  for (const OpDef::Mutation& m : kCompress.mutates) {
    EXPECT_EQ(in[static_cast<std::size_t>(m.operand)],
              result.value()[static_cast<std::size_t>(m.result)]);
  }
  EXPECT_EQ(kCompress.mutates.size(), 3u);

  EXPECT_THAT(infer(false).status().message(), HasSubstr("compress k: expected [T, 16]"));
  in[5].shape[1] = in[6].shape[1] = Const(7);
  EXPECT_THAT(infer(true).status().message(), HasSubstr("k_ring: expected at least 8 rows"));
  in[4].shape[0] = Const(9);
  EXPECT_THAT(infer(true).status().message(), HasSubstr("expected at least 18, got 16"));
}

}  // namespace
}  // namespace birkhoff::ops
