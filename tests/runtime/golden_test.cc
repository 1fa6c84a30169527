// The trained checkpoint against the outputs that Hugging Face transformers gives for it.
#include <cmath>
#include <optional>

#include "runtime/taps.h"
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

constexpr double kBound = 1e-3;
// Prompts 12 and 13 are one document, cut at two places. At layer 1, token 884, two indexer scores
// are 3e-8 of their range apart. Correct f32 and f64 runs choose differently there, which moves
// this one log-probability.
bool IsNearTie(int prompt, std::size_t token) {
  return (prompt == 12 || prompt == 13) && token == 884;
}
constexpr double kNearTieBound = 2e-3;

class Float32 : public testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() {
    engine_ = LoadTinyV4({.precision = Precision::kF32}).release();
    golden_ = new Golden;
  }
  static void TearDownTestSuite() {
    delete engine_;
    delete golden_;
  }
  static Engine* engine_;
  static Golden* golden_;
};
Engine* Float32::engine_ = nullptr;
Golden* Float32::golden_ = nullptr;

TEST_P(Float32, ScoresAgree) {
  const int prompt = GetParam();
  const std::vector<std::int32_t> ids = golden_->Ids(prompt);
  const bool draft = golden_->Has(prompt, "mtp_top1");
  const auto score = engine_->Score(ids, {.top = 5, .logits_last = true, .draft = draft});
  ASSERT_TRUE(score.ok()) << score.status().ToString();

  const Difference logits = Compare(score->logits_last, golden_->Get<float>(prompt, "logits_last"));
  EXPECT_LE(logits.largest, kBound) << "logit " << logits.at;

  const auto expected = golden_->Get<float>(prompt, "token_logprobs");
  for (std::size_t t = 0; t < expected.size(); ++t) {
    const double error = std::abs(static_cast<double>(score->token_logprobs[t]) - expected[t]);
    EXPECT_LE(error, IsNearTie(prompt, t) ? kNearTieBound : kBound) << "token " << t;
  }

  const auto top = golden_->Get<std::int32_t>(prompt, "top_ids");
  const auto top_logprobs = golden_->Get<float>(prompt, "top_logprobs");
  for (std::size_t t = 0; t < ids.size(); ++t) {
    if (top_logprobs[5 * t] - top_logprobs[5 * t + 1] < 2 * kBound) continue;
    EXPECT_EQ(score->top_ids[t][0], top[5 * t]) << "token " << t;
  }
  if (draft) {
    EXPECT_EQ(score->draft_top1, golden_->Get<std::int32_t>(prompt, "mtp_top1"));
    const Difference d =
        Compare(score->draft_logits_last, golden_->Get<float>(prompt, "mtp_logits_last"));
    EXPECT_LE(d.largest, kBound) << "MTP logit " << d.at;
  }
}

TEST_P(Float32, GreedyContinuationIsIdentical) {
  const int prompt = GetParam();
  if (!golden_->Has(prompt, "greedy"))
    GTEST_SKIP() << "the goldens have no continuation of prompt " << prompt;
  const auto expected = golden_->Get<std::int32_t>(prompt, "greedy");
  for (const bool speculate : {false, true}) {
    auto session = engine_->NewSession();
    ASSERT_TRUE(session.ok()) << session.status().ToString();
    std::vector<std::int32_t> tokens;
    const auto stats = engine_->Generate(*session, golden_->Ids(prompt),
                                         {.max_tokens = static_cast<std::int64_t>(expected.size()),
                                          .ignore_eos = true,
                                          .speculate = speculate},
                                         [&](std::int32_t token) {
                                           tokens.push_back(token);
                                           return true;
                                         });
    ASSERT_TRUE(stats.ok()) << stats.status().ToString();
    EXPECT_EQ(tokens, expected) << (speculate ? "with" : "without") << " drafts";
    EXPECT_EQ(stats->accepted > 0, speculate);
  }
}

INSTANTIATE_TEST_SUITE_P(AllPrompts, Float32, testing::Range(0, kGoldenPrompts));

TEST(Float32Streams, AgreeAfterEveryLayer) {
  const Golden golden;
  const auto streams = CollectStreams(
      {.model = kTinyV4, .precision = Precision::kF32, .context = 4096}, golden.Ids(8));
  ASSERT_TRUE(streams.ok()) << streams.status().ToString();
  const Difference d = Compare(*streams, golden.Get<float>(8, "streams"));
  EXPECT_LE(d.largest, kBound) << "element " << d.at;
}

TEST(BFloat16, IsWithinTheRoundingOfItsActivations) {
  const Golden golden;
  const auto engine = LoadTinyV4({});
  ASSERT_NE(engine, nullptr);
  double sum = 0;
  double golden_sum = 0;
  double distance = 0;
  std::size_t count = 0;
  for (int prompt = 0; prompt < kGoldenPrompts; ++prompt) {
    const auto ids = golden.Ids(prompt);
    const auto score = engine->Score(ids, {.top = 1});
    ASSERT_TRUE(score.ok()) << score.status().ToString();
    const auto expected = golden.Get<float>(prompt, "token_logprobs");
    for (std::size_t t = 0; t < expected.size(); ++t) {
      sum += score->token_logprobs[t];
      golden_sum += expected[t];
      distance += std::abs(static_cast<double>(score->token_logprobs[t]) - expected[t]);
    }
    count += expected.size();
    const auto top = golden.Get<std::int32_t>(prompt, "top_ids");
    const auto top_logprobs = golden.Get<float>(prompt, "top_logprobs");
    for (std::size_t t = 0; t < ids.size(); ++t) {
      if (top_logprobs[5 * t] - top_logprobs[5 * t + 1] <= 0.25f) continue;
      EXPECT_EQ(score->top_ids[t][0], top[5 * t])
          << "prompt " << prompt << " token " << t << " margin "
          << top_logprobs[5 * t] - top_logprobs[5 * t + 1];
    }
  }
  const auto n = static_cast<double>(count);
  RecordProperty("mean_delta_logprob", std::to_string(distance / n));
  EXPECT_LE(distance / n, 0.02) << "mean |delta log-probability| in nats";
  EXPECT_NEAR(std::exp((golden_sum - sum) / n), 1.0, 0.005) << "ratio of the perplexities";
}

}  // namespace
}  // namespace birkhoff
