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

float Sigmoid(float z) { return 1 / (1 + std::exp(-z)); }

// One token routed by sigmoids.
struct SigmoidToken {
  std::vector<float> logits = {};
  std::vector<float> bias = {};
  std::vector<std::int32_t> expert = {};
  std::vector<float> weight = {};

  SigmoidToken(std::vector<float> z, std::vector<float> b, std::size_t k)
      : logits(std::move(z)), bias(std::move(b)), expert(k), weight(k) {}
  RouteArgs Args(std::int64_t groups, std::int64_t topk_groups) {
    return {.logits = logits.data(),
            .bias = bias.data(),
            .expert = expert.data(),
            .weight = weight.data(),
            .tokens = 1,
            .experts = static_cast<std::int64_t>(logits.size()),
            .k = static_cast<std::int64_t>(expert.size()),
            .scoring = Scoring::kSigmoid,
            .groups = groups,
            .topk_groups = topk_groups};
  }
};

TEST(Route, GroupsAreKeptByTheSumOfTheirTwoLargest) {
  // The best expert is alone in its group: 5 + -3 < 2 + 1.
  SigmoidToken t({0, 0, 0, 0, 0, 0, 0, 0, 0}, {5, -3, -4, 1, 0.5, 2, -2, -1, -1}, 3);
  RunEveryRow(RouteKernels(), t.Args(3, 1), [&] { EXPECT_THAT(t.expert, ElementsAre(5, 3, 4)); });
  RunEveryRow(RouteKernels(), t.Args(3, 2), [&] { EXPECT_THAT(t.expert, ElementsAre(0, 5, 3)); });
  RunEveryRow(RouteKernels(), t.Args(1, 1), [&] { EXPECT_THAT(t.expert, ElementsAre(0, 5, 3)); });
}

TEST(Route, ADroppedGroupIsNeverAskedWhateverTheKeptOnesAreWorth) {
  const float inf = std::numeric_limits<float>::infinity();
  SigmoidToken t({0, 0, 0, 0, 0, 0}, {2, 2, -inf, -5, 0, 0}, 3);
  RunEveryRow(RouteKernels(), t.Args(2, 1), [&] { EXPECT_THAT(t.expert, ElementsAre(0, 1, 2)); });
}

TEST(Route, TiedGroupsGoToTheLowerAndNaNComesLast) {
  SigmoidToken tied({0, 1, 1, 0, 0, 1, 1, 1}, std::vector<float>(8), 2);
  RunEveryRow(RouteKernels(), tied.Args(4, 1),
              [&] { EXPECT_THAT(tied.expert, ElementsAre(6, 7)); });
  RunEveryRow(RouteKernels(), tied.Args(4, 2),
              [&] { EXPECT_THAT(tied.expert, ElementsAre(1, 6)); });
  // Of a group with one number the sum is NaN: below a group of small numbers, above none.
  SigmoidToken nan({kNaN, 9, -9, -9, kNaN, kNaN}, std::vector<float>(6), 4);
  RunEveryRow(RouteKernels(), nan.Args(3, 2),
              [&] { EXPECT_THAT(nan.expert, ElementsAre(1, 2, 3, 0)); });
}

TEST(Route, SigmoidsWeighNormalisedOrAsTheyAre) {
  SigmoidToken t({1, -2, 0.5}, {0, 9, 0}, 2);
  RouteArgs args = t.Args(1, 1);
  args.scale = 2.5f;
  const float sum = Sigmoid(-2) + Sigmoid(1);
  RunEveryRow(RouteKernels(), args, [&] {
    EXPECT_THAT(t.expert, ElementsAre(1, 0));
    EXPECT_NEAR(t.weight[0], Sigmoid(-2) / sum * 2.5f, 1e-6);
    EXPECT_NEAR(t.weight[1], Sigmoid(1) / sum * 2.5f, 1e-6);
  });
  args.normalise = false;
  RunEveryRow(RouteKernels(), args, [&] {
    EXPECT_NEAR(t.weight[0], Sigmoid(-2) * 2.5f, 1e-6);
    EXPECT_NEAR(t.weight[1], Sigmoid(1) * 2.5f, 1e-6);
  });
}

TEST(Route, SaysWhichShapeIsWrong) {
  const auto infer = [](std::int64_t k, std::int64_t biases, std::int64_t groups = 1,
                        std::int64_t topk_groups = 1) {
    return Inferred(kRoute,
                    {{"k", k},
                     {"scoring", std::int64_t{1}},
                     {"groups", groups},
                     {"topk_groups", topk_groups},
                     {"normalise", true},
                     {"scale", 1.0}},
                    {{Kind::kActivation, DType::kF32, {kT, Const(8)}},
                     {Kind::kVector, DType::kF32, {Const(biases)}}});
  };
  EXPECT_EQ(infer(8, 8), "I32 [T, 8]; F32 [T, 8]");
  EXPECT_EQ(infer(4, 8, 4, 2), "I32 [T, 4]; F32 [T, 4]");
  EXPECT_THAT(infer(9, 8), HasSubstr("expected 1 to 8 experts, got 9"));
  EXPECT_THAT(infer(2, 7), HasSubstr("route bias: expected [8]"));
  for (const std::int64_t groups : {0, 3, 8})
    EXPECT_THAT(infer(2, 8, groups, 1),
                HasSubstr("route groups: expected equal groups of at least"));
  EXPECT_THAT(infer(2, 8, 4, 5), HasSubstr("route topk_groups: expected 1 to 4 groups, got 5"));
  EXPECT_THAT(infer(5, 8, 4, 2), HasSubstr("at most the 4 experts of 2 groups, got 5"));
}

}  // namespace
}  // namespace birkhoff::ops
