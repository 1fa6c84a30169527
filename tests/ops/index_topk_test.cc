#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

// One query of one head and one channel at the position that sees `keys`, with ratio 1: the scores
// are weight * max(0, key).
struct OneQuery {
  OneQuery(std::vector<float> key_values, std::int64_t topk)
      : keys(std::move(key_values)),
        selected(static_cast<std::size_t>(topk), -1),
        past(static_cast<std::int64_t>(keys.size()) - 1) {
    args = {.q = &q,
            .weight = &weight,
            .keys = {keys.data(), static_cast<std::int64_t>(keys.size()), 1},
            .selected = selected.data(),
            .batch = {1, begin, &slot, &past},
            .type = DType::kF32,
            .tokens = 1,
            .heads = 1,
            .dim = 1,
            .ratio = 1,
            .topk = topk,
            .max_entries = static_cast<std::int64_t>(keys.size())};
  }

  template <class Matcher>
  void Expect(Matcher matcher) {
    RunEveryRow(IndexTopkKernels(), args, [&] {
      EXPECT_THAT(selected, matcher);
      selected.assign(selected.size(), -1);
    });
  }

  std::vector<float> keys;
  std::vector<std::int32_t> selected;
  float q = 1;
  float weight = 1;
  const std::int32_t begin[2] = {0, 1};
  const std::int32_t slot = 0;
  std::int64_t past = 0;
  IndexTopkArgs args = {};
};

TEST(IndexTopk, SelectsTheHighestInAscendingOrder) {
  OneQuery({3, 1, 9, 4, 8, 2}, 3).Expect(ElementsAre(2, 3, 4));
}

TEST(IndexTopk, TiesGoToTheLowerEntry) {
  OneQuery({1, 2, 2, 1, 2, 2}, 3).Expect(ElementsAre(1, 2, 4));
  OneQuery({-1, -2, 0, -3, -4}, 2).Expect(ElementsAre(0, 1));  // all clipped to 0
  OneQuery({-0.0f, 0, -0.0f, 0}, 3).Expect(ElementsAre(0, 1, 2));
}

TEST(IndexTopk, ANegativeWeightPrefersWhatIsClipped) {
  OneQuery s({5, -1, 3, -7, 1}, 3);
  s.weight = -1;
  s.Expect(ElementsAre(1, 3, 4));
}

TEST(IndexTopk, NaNRanksBelowEverything) {
  OneQuery s({kNaN, 2, kNaN, HUGE_VALF, 1}, 4);
  s.Expect(ElementsAre(0, 1, 3, 4));
  s.weight = -1;  // the score of entry 3 is -inf, still above NaN
  s.Expect(ElementsAre(0, 1, 3, 4));
}

TEST(IndexTopk, TakesAllWithoutScoringWhileTheyAreFew) {
  OneQuery s({kNaN, kNaN, kNaN}, 4);
  s.Expect(ElementsAre(0, 1, 2, -1));
}

TEST(IndexTopk, OneOfMany) {
  std::vector<float> keys(5000, 1.0f);
  keys[4321] = 1.0f + 0x1p-23f;
  OneQuery(keys, 1).Expect(ElementsAre(4321));
}

// Two heads of two channels at position 11, ratio 4: three entries with the scores 1, -1 and 6.
TEST(IndexTopk, RunsAsAnOp) {
  std::vector<float> q = {1, 0, 0, 2};
  std::vector<float> weight = {2, -1};
  std::vector<float> keys = {2, 1, 0, 1, 6, 0, kNaN, kNaN};
  std::vector<std::int32_t> selected(2);
  const std::int32_t begin[] = {0, 1};
  const std::int32_t slot = 0;
  const std::int64_t past = 11;
  RunOp(kIndexTopk,
        {{"ratio", std::int64_t{4}},
         {"topk", std::int64_t{2}},
         {"max_entries", std::int64_t{4}},
         {"scale", 0.5}},
        {Tensor(q, DType::kF32, {1, 2, 2}), Tensor(weight, DType::kF32, {1, 2}),
         Tensor(keys, DType::kF32, {1, 4, 2})},
        {Tensor(selected, DType::kI32, {1, 2})}, {1, begin, &slot, &past});
  EXPECT_THAT(selected, ElementsAre(0, 2));
}

TEST(IndexTopkTypes, ResultHasOneRowOfEntriesPerToken) {
  const Extent tokens{1, Symbol::kTokens};
  std::vector<ValueType> in = {{Kind::kActivation, DType::kBF16, {tokens, Const(4), Const(16)}},
                               {Kind::kActivation, DType::kF32, {tokens, Const(4)}},
                               {Kind::kState, DType::kBF16, {Const(2), Const(100), Const(16)}}};
  const auto infer = [&](std::int64_t topk, std::int64_t max_entries) {
    return kIndexTopk.infer(
        {{"ratio", std::int64_t{4}}, {"topk", topk}, {"max_entries", max_entries}, {"scale", 1.0}},
        in);
  };
  const auto result = infer(7, 100);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result.value()[0].ToString(), "I32 [T, 7]");
  EXPECT_THAT(infer(0, 100).status().message(), HasSubstr("topk: expected at least 1, got 0"));
  EXPECT_THAT(infer(7, 101).status().message(), HasSubstr("expected at least 101 rows"));
  in[1].shape[1] = Const(5);
  EXPECT_THAT(infer(7, 100).status().message(), HasSubstr("weight: expected [T, 4]"));
}

}  // namespace
}  // namespace birkhoff::ops
