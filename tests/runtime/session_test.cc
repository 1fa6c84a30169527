// Limits and errors.
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

class Limits : public testing::Test {
 protected:
  std::unique_ptr<Engine> engine_ =
      LoadTinyV4({.threads = 1, .context = 20, .max_sessions = 2, .max_step_tokens = 8});

  Status Append(Session& session, std::vector<std::int32_t> ids) {
    StepItem item{.session = &session, .tokens = ids};
    return engine_->Step({&item, 1});
  }
};

TEST_F(Limits, AreNamedWithBothNumbers) {
  auto a = engine_->NewSession();
  auto b = engine_->NewSession();
  ASSERT_TRUE(a.ok() && b.ok());
  const auto third = engine_->NewSession();
  EXPECT_EQ(third.status().ToString(), "out of range: sessions: all 2 of max_sessions are in use");

  EXPECT_EQ(Append(*a, {1, 8192}).ToString(),
            "invalid argument: token 1: expected an id in [0, 8192), got 8192");
  EXPECT_EQ(Append(*a, {-1}).ToString(),
            "invalid argument: token 0: expected an id in [0, 8192), got -1");
  EXPECT_EQ(Append(*a, {}).ToString(), "invalid argument: tokens: expected at least 1, got none");
  EXPECT_EQ(Append(*a, std::vector<std::int32_t>(9, 5)).ToString(),
            "out of range: step of at least 9 tokens: max_step_tokens is 8");
  EXPECT_TRUE(a->tokens().empty());

  ASSERT_TRUE(Append(*a, {1, 2, 3, 4, 5, 6, 7, 8}).ok());
  ASSERT_TRUE(Append(*a, {1, 2, 3, 4, 5, 6, 7, 8}).ok());
  EXPECT_EQ(Append(*a, {1, 2, 3, 4, 5}).ToString(),
            "out of range: sequence of 21 tokens: the context is 20");
  EXPECT_EQ(a->tokens().size(), 16u);

  const std::int32_t id = 3;
  StepItem twice[] = {{.session = &*b, .tokens = {&id, 1}}, {.session = &*b, .tokens = {&id, 1}}};
  EXPECT_EQ(engine_->Step(twice).ToString(),
            "invalid argument: item 1: its session is in this step twice");
}

TEST_F(Limits, GenerationStopsAtTheContext) {
  for (const bool speculate : {false, true}) {
    auto session = engine_->NewSession();
    ASSERT_TRUE(session.ok());
    std::vector<std::int32_t> tokens;
    const std::vector<std::int32_t> prompt = {0, 530, 856};
    const auto stats = engine_->Generate(
        *session, prompt, {.max_tokens = 100, .ignore_eos = true, .speculate = speculate},
        [&](std::int32_t t) {
          tokens.push_back(t);
          return true;
        });
    ASSERT_TRUE(stats.ok()) << stats.status().ToString();
    EXPECT_EQ(stats->stop, GenerateStats::Stop::kContext);
    EXPECT_EQ(session->tokens().size(), 20u);
    EXPECT_EQ(tokens.size(), 18u);  // the last has no place any more
  }
}

TEST_F(Limits, GenerationStopsWhereItIsTold) {
  const std::vector<std::int32_t> prompt = {0, 530, 856};
  for (const bool speculate : {false, true}) {
    for (const std::int64_t most : {0, 1, 2, 3, 7}) {
      auto session = engine_->NewSession();
      ASSERT_TRUE(session.ok());
      std::vector<std::int32_t> expected(prompt);
      const auto stats = engine_->Generate(
          *session, prompt, {.max_tokens = most, .ignore_eos = true, .speculate = speculate},
          [&](std::int32_t t) {
            expected.push_back(t);
            return true;
          });
      ASSERT_TRUE(stats.ok()) << stats.status().ToString();
      EXPECT_EQ(stats->generated_tokens, most);
      EXPECT_EQ(std::vector<std::int32_t>(session->tokens().begin(), session->tokens().end()),
                expected);
    }
  }
}

TEST_F(Limits, ASessionGivesItsPlaceBack) {
  for (int i = 0; i < 5; ++i) {
    auto a = engine_->NewSession();
    auto b = engine_->NewSession();
    ASSERT_TRUE(a.ok() && b.ok());
    ASSERT_TRUE(Append(*b, {1, 2, 3}).ok());
    Session moved = std::move(*b);
    EXPECT_EQ(moved.tokens().size(), 3u);
    moved.Reset();
    EXPECT_TRUE(moved.tokens().empty());
  }
}

TEST(Load, NamesWhatIsWrong) {
  EXPECT_EQ(Engine::Load({.model = "/nowhere"}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Engine::Load({.model = kTinyV4, .context = 1 << 20}).status().message(),
            "context: expected at most 65536 (max_position_embeddings of " + kTinyV4 +
                "/config.json), got 1048576");
  EXPECT_EQ(Engine::Load({.model = kTinyV4, .max_sessions = 0}).status().message(),
            "max_sessions: expected at least 1, got 0");
}

}  // namespace
}  // namespace birkhoff
