// Limits and errors.
#include <filesystem>
#include <fstream>
#include <new>

#include "base/files.h"
#include "runtime/random_engine.h"
#include "runtime/taps.h"
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

TEST_F(Limits, SessionsBelongToTheirEngine) {
  const auto other = LoadTinyV4({.threads = 1, .context = 20});
  auto session = other->NewSession();
  ASSERT_TRUE(session.ok());
  Session moved = std::move(*session);
  const std::vector<std::int32_t> ids = {1, 2, 3};
  // One of another engine, and one that is nobody's any more.
  for (Session* s : {&moved, &*session}) {
    EXPECT_EQ(Append(*s, ids).ToString(),
              "invalid argument: item 0: expected a session of this engine");
    EXPECT_EQ(engine_->Prefill(*s, ids).status().ToString(),
              "invalid argument: expected a session of this engine");
    EXPECT_EQ(engine_->Generate(*s, ids, {}, [](std::int32_t) { return true; }).status().ToString(),
              "invalid argument: expected a session of this engine");
    s->Reset();
    EXPECT_TRUE(s->tokens().empty());
  }
  EXPECT_TRUE(other->Prefill(moved, ids).ok());
  EXPECT_EQ(moved.tokens().size(), 3u);
}

TEST_F(Limits, CallbacksMayOnlyLook) {
  auto session = engine_->NewSession();
  ASSERT_TRUE(session.ok());
  const std::vector<std::int32_t> prompt = {0, 530, 856};
  std::vector<Status> refused;
  std::vector<std::size_t> lengths;
  const auto call_all = [&] {
    refused.push_back(engine_->NewSession().status());
    refused.push_back(Append(*session, {1}));
    refused.push_back(engine_->Prefill(*session, prompt).status());
    refused.push_back(engine_->Score(prompt, {}).status());
    refused.push_back(
        engine_->Generate(*session, prompt, {}, [](std::int32_t) { return true; }).status());
    session->Reset();
    lengths.push_back(session->tokens().size());
  };
  const auto stats = engine_->Generate(
      *session, prompt, {.max_tokens = 2, .ignore_eos = true, .speculate = false},
      [&](std::int32_t) {
        call_all();
        return true;
      },
      [&](std::string_view, std::int64_t, std::int64_t) { call_all(); });
  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(lengths, (std::vector<std::size_t>{3, 3, 4}));
  EXPECT_EQ(refused.size(), 15u);
  for (const Status& status : refused) {
    EXPECT_EQ(status.ToString(),
              "invalid argument: expected no call of an engine from its own callback");
  }
  EXPECT_TRUE(Append(*session, {1}).ok()) << "the engine is free again";
}

// A library's exception, as a caller's own, comes out as a Status and leaves the engine usable.
TEST_F(Limits, ExceptionsStayInside) {
  auto session = engine_->NewSession();
  ASSERT_TRUE(session.ok());
  const std::vector<std::int32_t> prompt = {0, 530, 856};
  const auto stats =
      engine_->Generate(*session, prompt, {}, [](std::int32_t) -> bool { throw std::bad_alloc(); });
  EXPECT_EQ(stats.status().code(), StatusCode::kOutOfRange);
  EXPECT_NE(stats.status().message().find("bad_alloc"), std::string::npos);
  EXPECT_TRUE(Append(*session, {1}).ok());
}

// A step's logits are kept within 64 MiB: 2048 rows of this vocabulary.
TEST(Rows, OfOneStepAreLimited) {
  const auto engine = LoadTinyV4({.threads = 1, .max_step_tokens = 2049});
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->max_logits_rows(), 2048);
  auto session = engine->NewSession();
  ASSERT_TRUE(session.ok());
  const std::vector<std::int32_t> ids(2049, 3);
  StepItem item{.session = &*session, .tokens = ids, .rows = StepItem::Rows::kAll};
  EXPECT_EQ(engine->Step({&item, 1}).ToString(),
            "out of range: step with 2049 rows of logits: at most 2048");
  EXPECT_TRUE(session->tokens().empty());
}

TEST(Load, NamesWhatIsWrong) {
  EXPECT_EQ(Engine::Load({.model = "/nowhere"}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Engine::Load({.model = kTinyV4, .context = 1 << 20}).status().message(),
            "context: expected at most 65536 (max_position_embeddings of " + kTinyV4 +
                "/config.json), got 1048576");
}

// Without a look at the files: none is there.
TEST(Load, ChecksItsOptionsFirst) {
  const auto message = [](EngineOptions options) {
    options.model = "/nowhere";
    const Status status = Engine::Load(options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(LoadRandomEngine("/nowhere", options, models::deepseek_v4::Quantisation::kBF16)
                  .status()
                  .message(),
              status.message());
    EXPECT_EQ(CollectStreams(options, {}).status().message(), status.message());
    return status.message();
  };
  EXPECT_EQ(message({.threads = -1}), "threads: expected a number in [0, 4096], got -1");
  EXPECT_EQ(message({.threads = 4097}), "threads: expected a number in [0, 4096], got 4097");
  EXPECT_EQ(message({.context = -5}), "context: expected a number in [0, 2147483647], got -5");
  EXPECT_EQ(message({.max_sessions = 0}), "max_sessions: expected a number in [1, 65536], got 0");
  EXPECT_EQ(message({.max_sessions = 65537}),
            "max_sessions: expected a number in [1, 65536], got 65537");
  EXPECT_EQ(message({.max_step_tokens = 1}),
            "max_step_tokens: expected a number in [2, 1048576], got 1");
  EXPECT_EQ(message({.max_step_tokens = (1 << 20) + 1}),
            "max_step_tokens: expected a number in [2, 1048576], got 1048577");
}

TEST(Load, LeavesTheDraftLayerOutWhenAsked) {
  const auto engine = LoadTinyV4({.threads = 1, .draft = false});
  ASSERT_NE(engine, nullptr);
  EXPECT_FALSE(engine->info().has_draft);
  ASSERT_EQ(engine->info().notes.size(), 1u);
  EXPECT_NE(engine->info().notes[0].find("tensors of MTP blocks ignored: drafts are off"),
            std::string::npos);
}

TEST(Load, TakesBeginAndEndFromTheTokenizerWhereTheConfigIsSilent) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "birkhoff_silent_config";
  fs::remove_all(folder);
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(kTinyV4)) {
    if (entry.path().filename() != "config.json")
      fs::create_symlink(entry.path(), folder / entry.path().filename());
  }
  std::string config = *ReadFile(kTinyV4 + "/config.json", 1 << 20);
  for (const std::string key : {"\"bos_token_id\"", "\"eos_token_id\""}) {
    ASSERT_NE(config.find(key), std::string::npos);
    config.replace(config.find(key), key.size(), "\"unknown_" + key.substr(1));
  }
  std::ofstream(folder / "config.json") << config;

  const auto engine = Engine::Load({.model = folder.string(), .threads = 1, .context = 256});
  ASSERT_TRUE(engine.ok()) << engine.status().ToString();
  EXPECT_EQ((*engine)->info().bos, 0);
  EXPECT_EQ((*engine)->info().eos, std::vector<std::int32_t>{1});
  fs::remove_all(folder);
}

}  // namespace
}  // namespace birkhoff
