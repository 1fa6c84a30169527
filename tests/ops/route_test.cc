#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr Extent kT{1, Symbol::kTokens};

float Affinity(float z) { return std::sqrt(std::log1p(std::exp(z))); }

TEST(Route, TheBiasChoosesAndTheAffinityWeighs) {
  const std::vector<float> logits = {0, 1, 2, 3};
  const std::vector<float> bias = {10, 0, 0, 0};
  std::vector<std::int32_t> expert(2);
  std::vector<float> weight(2);
  const RouteArgs args{.logits = logits.data(),
                       .bias = bias.data(),
                       .expert = expert.data(),
                       .weight = weight.data(),
                       .tokens = 1,
                       .experts = 4,
                       .k = 2,
                       .scale = 1.5f};
  const float sum = Affinity(0) + Affinity(3);
  RunEveryRow(RouteKernels(), args, [&] {
    EXPECT_THAT(expert, ElementsAre(0, 3));
    EXPECT_NEAR(weight[0], Affinity(0) / sum * 1.5f, 1e-6);
    EXPECT_NEAR(weight[1], Affinity(3) / sum * 1.5f, 1e-6);
  });
}

TEST(Route, TiesGoToTheLowerExpertAndNaNComesLast) {
  const std::vector<float> logits = {kNaN, 1, 2, 1, -200, 2};
  const std::vector<float> bias(6);
  std::vector<std::int32_t> expert(6);
  std::vector<float> weight(6);
  const RouteArgs args{.logits = logits.data(),
                       .bias = bias.data(),
                       .expert = expert.data(),
                       .weight = weight.data(),
                       .tokens = 1,
                       .experts = 6,
                       .k = 6};
  RunEveryRow(RouteKernels(), args, [&] { EXPECT_THAT(expert, ElementsAre(2, 5, 1, 3, 4, 0)); });
}

TEST(Route, TheTableAnswersByTokenId) {
  const std::vector<float> logits = {0, 1, 2, 3, 3, 2, 1, 0};
  const std::vector<std::int32_t> table = {3, 2, 0, 1, 1, 3};
  const std::vector<std::int32_t> ids = {2, 0};
  std::vector<std::int32_t> expert(4);
  std::vector<float> weight(4);
  const RouteArgs args{.logits = logits.data(),
                       .table = table.data(),
                       .ids = ids.data(),
                       .expert = expert.data(),
                       .weight = weight.data(),
                       .tokens = 2,
                       .experts = 4,
                       .k = 2};
  RunEveryRow(RouteKernels(), args, [&] {
    EXPECT_THAT(expert, ElementsAre(1, 3, 3, 2));
    EXPECT_NEAR(weight[0], Affinity(1) / (Affinity(1) + Affinity(3)), 1e-6);
    EXPECT_NEAR(weight[3], Affinity(1) / (Affinity(0) + Affinity(1)), 1e-6);
  });
}

TEST(Route, SaysWhichShapeIsWrong) {
  const auto infer = [](std::int64_t k, std::int64_t biases) {
    return Inferred(kRoute, {{"k", k}, {"scale", 1.0}},
                    {{Kind::kActivation, DType::kF32, {kT, Const(8)}},
                     {Kind::kVector, DType::kF32, {Const(biases)}}});
  };
  EXPECT_EQ(infer(8, 8), "I32 [T, 8]; F32 [T, 8]");
  EXPECT_THAT(infer(9, 8), HasSubstr("expected 1 to 8 experts, got 9"));
  EXPECT_THAT(infer(2, 7), HasSubstr("route bias: expected [8]"));
}

}  // namespace
}  // namespace birkhoff::ops
