#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

// Two experts on two channels: the identity, and twice the identity as the way down, in a format of
// its own.
TEST(Experts, IsTheWeightedSumOfWhatTheChosenExpertsAnswer) {
  const std::vector<float> identity = {1, 0, 0, 1};
  const std::vector<bf16> twice = {bf16(2.0f), bf16(0.0f), bf16(0.0f), bf16(2.0f)};
  const WeightMatrix one{
      .data = identity.data(), .format = WeightFormat::kF32, .rows = 2, .cols = 2};
  const WeightMatrix two{.data = twice.data(), .format = WeightFormat::kBF16, .rows = 2, .cols = 2};
  const std::vector<WeightMatrix> in = {one, one};
  const std::vector<WeightMatrix> down = {one, two};
  const std::vector<float> x = {1, -2, 5, 0.5f};
  const std::vector<std::int32_t> expert = {1, 0, 0, 0};
  const std::vector<float> weight = {0.25f, 0.5f, 1, 0};
  std::vector<float> out(4);
  const ExpertsArgs args{.x = x.data(),
                         .expert = expert.data(),
                         .weight = weight.data(),
                         .w1 = in.data(),
                         .w3 = in.data(),
                         .w2 = down.data(),
                         .out = out.data(),
                         .type = DType::kF32,
                         .tokens = 2,
                         .experts = 2,
                         .k = 2,
                         .limit = 3};
  const auto swiglu = [](float v) {  // clamped at 3
    const float gate = std::min(v, 3.0f);
    return gate / (1 + std::exp(-gate)) * std::clamp(v, -3.0f, 3.0f);
  };
  RunEveryRow(ExpertsKernels(), args, [&] {
    EXPECT_NEAR(out[0], swiglu(1) * (2 * 0.25f + 0.5f), 1e-6);
    EXPECT_NEAR(out[1], swiglu(-2) * (2 * 0.25f + 0.5f), 1e-6);
    EXPECT_NEAR(out[2], swiglu(5), 1e-5);
    EXPECT_NEAR(out[3], swiglu(0.5f), 1e-6);
  });
}

TEST(Experts, ATokenHasTheBitsThatItHasAlone) {
  constexpr std::int64_t kTokens = 41;
  constexpr std::int64_t kExperts = 4;
  constexpr std::int64_t kSlots = 3;
  constexpr std::int64_t kHidden = 64;
  constexpr std::int64_t kWidth = 96;
  std::mt19937 random(1);
  for (const WeightFormat format : kFormats) {
    std::vector<WeightBytes> owned;
    std::vector<WeightMatrix> w1, w3, w2;
    for (std::int64_t e = 0; e < kExperts; ++e) {
      w1.push_back(owned.emplace_back(MakeWeights(format, kWidth, kHidden, random)).matrix);
      w3.push_back(owned.emplace_back(MakeWeights(format, kWidth, kHidden, random)).matrix);
      w2.push_back(owned.emplace_back(MakeWeights(format, kHidden, kWidth, random)).matrix);
    }
    std::normal_distribution<float> normal(0, 0.1f);
    std::vector<bf16> x(kTokens * kHidden);
    for (bf16& v : x) v = bf16(normal(random));
    std::vector<std::int32_t> expert(kTokens * kSlots);
    for (std::int32_t& e : expert) e = static_cast<std::int32_t>(random() % kExperts);
    const std::vector<float> weight(kTokens * kSlots, 0.3f);
    std::vector<float> together(kTokens * kHidden);
    std::vector<float> alone(kHidden);
    const ExpertsArgs args{.x = x.data(),
                           .expert = expert.data(),
                           .weight = weight.data(),
                           .w1 = w1.data(),
                           .w3 = w3.data(),
                           .w2 = w2.data(),
                           .out = together.data(),
                           .tokens = kTokens,
                           .experts = kExperts,
                           .k = kSlots};
    ThreadPool pool(2);
    ForEachRow(ExpertsKernels(), args, [&](const Kernel<ExpertsArgs>& row) {
      RunRow(row, args, pool);
      for (std::int64_t t = 0; t < kTokens; t += 5) {
        ExpertsArgs one = args;
        one.tokens = 1;
        one.x = x.data() + t * kHidden;
        one.expert = expert.data() + t * kSlots;
        one.out = alone.data();
        RunRow(row, one, pool);
        EXPECT_EQ(std::memcmp(alone.data(), together.data() + t * kHidden, sizeof(float) * kHidden),
                  0)
            << "format " << static_cast<int>(format) << " token " << t;
      }
    });
  }
}

TEST(Experts, SaysWhichShapeIsWrong) {
  const auto infer = [](std::int64_t slots_of_weight, std::int64_t rows_of_w2) {
    return Inferred(kExperts, {{"limit", 10.0}},
                    {{Kind::kActivation, DType::kBF16, {kT, Const(64)}},
                     {Kind::kActivation, DType::kI32, {kT, Const(6)}},
                     {Kind::kActivation, DType::kF32, {kT, Const(slots_of_weight)}},
                     {Kind::kMatrices, DType::kI8, {Const(8), Const(32), Const(64)}},
                     {Kind::kMatrices, DType::kI8, {Const(8), Const(32), Const(64)}},
                     {Kind::kMatrices, DType::kI8, {Const(8), Const(rows_of_w2), Const(32)}}});
  };
  EXPECT_EQ(infer(6, 64), "F32 [T, 64]");
  EXPECT_THAT(infer(5, 64), HasSubstr("experts weight: expected [T, 6]"));
  EXPECT_THAT(infer(6, 63), HasSubstr("experts w2: expected [8, 64, 32]"));
}

}  // namespace
}  // namespace birkhoff::ops
