#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace birkhoff::runtime {
namespace {

std::set<std::int32_t> Drawn(const SamplingOptions& options, const std::vector<float>& logits,
                             int draws = 2000) {
  Sampler sampler(options, static_cast<std::int64_t>(logits.size()));
  std::set<std::int32_t> seen;
  for (int p = 0; p < draws; ++p) seen.insert(sampler.Draw(logits, {}, p));
  return seen;
}

const std::vector<float> kLogits = {0.0f, 2.0f, 1.0f, -1.0f, 2.0f, -30.0f};

TEST(Sampler, GreedyTakesTheLowestOfEquals) {
  Sampler sampler({}, 6);
  EXPECT_EQ(sampler.Draw(kLogits, {}, 0), 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sampler.Draw(std::vector<float>{nan, 1.0f, nan, 3.0f, 3.0f, nan}, {}, 0), 3);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  Sampler sampler({.temperature = 1, .seed = 3}, 6);
  constexpr int kDraws = 200000;
  std::vector<double> count(6, 0);
  for (int p = 0; p < kDraws; ++p)
    count[static_cast<std::size_t>(sampler.Draw(kLogits, {}, p))] += 1;
  double total = 0;
  for (const float x : kLogits) total += std::exp(static_cast<double>(x));
  for (std::size_t i = 0; i < kLogits.size(); ++i) {
    const double p = std::exp(static_cast<double>(kLogits[i])) / total;
    EXPECT_NEAR(count[i] / kDraws, p, 5 * std::sqrt(p * (1 - p) / kDraws) + 1e-9) << "token " << i;
  }
}

TEST(Sampler, ADrawDependsOnSeedAndPositionOnly) {
  const SamplingOptions options{.temperature = 1, .seed = 11};
  Sampler forward(options, 6);
  std::vector<std::int32_t> first;
  for (int p = 0; p < 50; ++p) first.push_back(forward.Draw(kLogits, {}, p));
  Sampler backward(options, 6);
  for (int p = 49; p >= 0; --p)
    EXPECT_EQ(backward.Draw(kLogits, {}, p), first[static_cast<std::size_t>(p)]);
  Sampler other({.temperature = 1, .seed = 12}, 6);
  int same = 0;
  for (int p = 0; p < 50; ++p)
    same += other.Draw(kLogits, {}, p) == first[static_cast<std::size_t>(p)];
  EXPECT_LT(same, 50);
}

TEST(Sampler, TopKKeepsTheBest) {
  EXPECT_EQ(Drawn({.temperature = 2, .top_k = 1}, kLogits), (std::set<std::int32_t>{1}));
  EXPECT_EQ(Drawn({.temperature = 2, .top_k = 3}, kLogits), (std::set<std::int32_t>{1, 2, 4}));
}

TEST(Sampler, TopPKeepsTheSmallestSufficientSet) {
  // Probabilities 0.47, 0.28, 0.17, 0.08.
  const std::vector<float> logits = {std::log(0.28f), std::log(0.47f), std::log(0.08f),
                                     std::log(0.17f)};
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = 0.4f}, logits), (std::set<std::int32_t>{1}));
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = 0.6f}, logits), (std::set<std::int32_t>{0, 1}));
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = 0.9f}, logits), (std::set<std::int32_t>{0, 1, 3}));
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  EXPECT_EQ(Drawn({.temperature = 1, .min_p = 0.3f}, kLogits), (std::set<std::int32_t>{1, 2, 4}));
}

TEST(Sampler, RepetitionPenaltyLowersBothSigns) {
  const std::vector<float> logits = {2.0f, 1.5f, -1.0f, -1.5f};
  const std::vector<std::int32_t> history = {0, 0, 2};
  Sampler greedy({.repetition_penalty = 2}, 4);
  EXPECT_EQ(greedy.Draw(logits, history, 0), 1);  // 2.0 / 2 < 1.5: once, although it occurred twice
  Sampler only_negative({.repetition_penalty = 2}, 4);
  EXPECT_EQ(only_negative.Draw(std::vector<float>{-9, -9, -1.0f, -1.5f}, history, 0),
            3);  // -1.0 * 2 < -1.5
}

TEST(Sampler, ManyTokensAndTopP) {
  // More kept tokens than the first piece that is sorted.
  std::vector<float> logits(20000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 97) * 1e-3f;
  const auto drawn = Drawn({.temperature = 1, .top_p = 0.1f, .seed = 5}, logits, 60);
  EXPECT_GT(drawn.size(), 50u);
  for (const std::int32_t token : drawn) EXPECT_GE(token % 97, 86) << token;  // a tenth of the mass
}

TEST(Sampler, BadOptionsAreNamed) {
  const auto message = [](const SamplingOptions& o) { return Validate(o).message(); };
  EXPECT_EQ(message({.temperature = -1}), "temperature: expected a number >= 0, got -1");
  EXPECT_EQ(message({.top_k = -2}), "top_k: expected 0 (off) or more, got -2");
  EXPECT_EQ(message({.top_p = 0}), "top_p: expected a number in (0, 1], got 0");
  EXPECT_EQ(message({.min_p = 2}), "min_p: expected a number in [0, 1], got 2");
  EXPECT_EQ(message({.repetition_penalty = 0}), "repetition_penalty: expected a number > 0, got 0");
  EXPECT_TRUE(Validate({.temperature = std::numeric_limits<float>::quiet_NaN()}).code() ==
              StatusCode::kInvalidArgument);
  EXPECT_TRUE(Validate({}).ok());
}

}  // namespace
}  // namespace birkhoff::runtime
