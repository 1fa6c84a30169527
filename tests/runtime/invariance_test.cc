// The same bits for the same sequence: alone or in any batch, in any chunks, token by token, with
// any number of threads, on every instruction set, with drafts or without.
#include <map>

#include "tests/runtime/pieces.h"
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

EngineOptions Options(Precision precision, int threads = 2, CpuIsa isa = CpuIsa::kAvx512) {
  return {.precision = precision,
          .threads = threads,
          .max_sessions = 4,
          .max_step_tokens = 512,
          .max_isa = isa};
}

class Invariance : public testing::TestWithParam<Precision> {
 protected:
  // Beyond the window, several compressed entries of either kind, and sparse selection (from 385
  // tokens on).
  static constexpr std::size_t kTokens = 405;
  std::vector<std::int32_t> Ids() const {
    auto ids = Golden().Ids(10);
    ids.resize(kTokens);
    return ids;
  }
};

TEST_P(Invariance, ChunksDoNotMatter) {
  const auto engine = LoadTinyV4(Options(GetParam()));
  const auto ids = Ids();
  const auto whole = RunInPieces(*engine, ids, kTokens);
  for (const std::size_t piece : {1u, 3u, 64u, 127u, 128u, 129u}) {
    ExpectSameBits(whole, RunInPieces(*engine, ids, piece), "pieces of " + std::to_string(piece));
  }
}

TEST_P(Invariance, ThreadsDoNotMatter) {
  const auto ids = Ids();
  const auto two = RunInPieces(*LoadTinyV4(Options(GetParam(), 2)), ids, 200);
  for (const int threads : {1, 3}) {
    ExpectSameBits(two, RunInPieces(*LoadTinyV4(Options(GetParam(), threads)), ids, 200),
                   std::to_string(threads) + " threads");
  }
}

TEST_P(Invariance, InstructionSetsDoNotMatter) {
  const auto ids = Ids();
  const auto best = RunInPieces(*LoadTinyV4(Options(GetParam())), ids, 200);
  ExpectSameBits(best, RunInPieces(*LoadTinyV4(Options(GetParam(), 2, CpuIsa::kAvx2)), ids, 200),
                 "avx2");
  // The generic form is slow: a part that passes the window and closes entries.
  const std::span<const std::int32_t> part(ids.data(), 140);
  const std::vector<Logits> head(best.begin(), best.begin() + 140);
  ExpectSameBits(head,
                 RunInPieces(*LoadTinyV4(Options(GetParam(), 2, CpuIsa::kGeneric)), part, 140),
                 "generic");
}

TEST_P(Invariance, TheRestOfTheBatchDoesNotMatter) {
  const auto engine = LoadTinyV4(Options(GetParam()));
  const Golden golden;
  const std::vector<std::vector<std::int32_t>> texts = {golden.Ids(3), golden.Ids(8), golden.Ids(1),
                                                        Ids()};
  std::vector<std::vector<Logits>> alone;
  for (const auto& ids : texts) alone.push_back(RunInPieces(*engine, ids, 64));

  const std::size_t strides[] = {2, 37, 1, 101};
  const auto together = RunTogether(*engine, texts, strides);
  for (std::size_t s = 0; s < texts.size(); ++s) {
    ExpectSameBits(alone[s], together[s], "sequence " + std::to_string(s));
  }
}

TEST_P(Invariance, AUsedPlaceIsAsGoodAsNew) {
  const auto engine = LoadTinyV4(Options(GetParam()));
  const auto ids = Ids();
  const std::vector<std::int32_t> short_text(ids.begin() + 100, ids.begin() + 103);
  const auto fresh = RunInPieces(*engine, short_text, 3);
  RunInPieces(*engine, ids, 128);  // leaves rings and entries behind in the same slot
  ExpectSameBits(fresh, RunInPieces(*engine, short_text, 1), "after another sequence");
}

TEST_P(Invariance, DraftsDoNotMatter) {
  const auto engine = LoadTinyV4(Options(GetParam()));
  const Golden golden;
  for (const float temperature : {0.0f, 0.8f}) {
    for (const int prompt : {0, 2, 7, 9}) {
      std::map<bool, std::vector<std::int32_t>> tokens;
      std::map<bool, std::vector<Logits>> after;
      for (const bool speculate : {false, true}) {
        auto session = engine->NewSession();
        ASSERT_TRUE(session.ok()) << session.status().ToString();
        GenerateOptions options{.max_tokens = 60, .ignore_eos = true, .speculate = speculate};
        options.sampling.temperature = temperature;
        options.sampling.seed = 7;
        const auto stats = engine->Generate(*session, golden.Ids(prompt), options,
                                            [](std::int32_t) { return true; });
        ASSERT_TRUE(stats.ok()) << stats.status().ToString();
        EXPECT_EQ(stats->drafted > 0, speculate);
        tokens[speculate].assign(session->tokens().begin(), session->tokens().end());
        // The state left behind is the same too.
        const std::int32_t next = 42;
        StepItem item{.session = &*session, .tokens = {&next, 1}};
        ASSERT_TRUE(engine->Step({&item, 1}).ok());
        after[speculate].emplace_back(item.logits.begin(), item.logits.end());
      }
      EXPECT_EQ(tokens[false], tokens[true])
          << "prompt " << prompt << ", temperature " << temperature;
      ExpectSameBits(after[false], after[true], "after the generation");
    }
  }
}

std::string PrecisionName(const testing::TestParamInfo<Precision>& precision) {
  return precision.param == Precision::kF32 ? "F32" : "BF16";
}
INSTANTIATE_TEST_SUITE_P(Precisions, Invariance, testing::Values(Precision::kBF16, Precision::kF32),
                         PrecisionName);

}  // namespace
}  // namespace birkhoff
