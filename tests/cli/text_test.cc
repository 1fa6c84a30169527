// tokenize, score and perplexity: text and ids in, figures out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "birkhoff.h"

namespace birkhoff::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(Tokenize, GoesThereAndBackToTheExactBytes) {
  using namespace std::string_literals;
  const std::string bytes = "naïve\r\n \xff\xfe tail\0x\n\n"s;
  const Outcome ids = Birkhoff("tokenize", bytes);
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_EQ(Birkhoff("tokenize --ids-file -", ids.out).out, bytes);
  EXPECT_EQ(Birkhoff("tokenize --ids '" + ids.out + "'").out, bytes);
}

TEST(Tokenize, RecognisesSpecialTokensOnlyWhenAsked) {
  const std::string text = "tokenize --json --text '<think>'";
  EXPECT_GT(Birkhoff(text).json()["ids"].size(), 1u);
  EXPECT_EQ(Birkhoff(text + " --special").json()["ids"].size(), 1u);
  EXPECT_EQ(Birkhoff(text + " --special --bos").json()["ids"].size(), 2u);
}

TEST(Tokenize, ShowsTheChatEncodingWithoutInjection) {
  const Outcome o = Birkhoff("tokenize --chat --thinking --text 'a <think> b'");
  EXPECT_THAT(o.out, HasSubstr("<｜User｜>a <think> b<｜Assistant｜><think>"));
  const json j = Birkhoff("tokenize --chat --thinking --json --text 'a <think> b'").json();
  EXPECT_EQ(j["prompt"].get<std::string>() + "\n", o.out);
  int markers = 0;
  for (const json& piece : j["pieces"]) markers += piece == "<think>";
  EXPECT_EQ(markers, 1);
}

TEST(Tokenize, ReadsConversations) {
  const std::string messages = R"([{"role": "user", "content": "Hi"}])";
  const Outcome o = Birkhoff("tokenize --messages -", messages);
  EXPECT_THAT(o.out, HasSubstr("<｜User｜>Hi<｜Assistant｜>"));
  const Outcome bad = Birkhoff("tokenize --messages -", R"([{"role": "nobody"}])");
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("nobody"));
}

TEST(Tokenize, RefusesIdsThatAreNone) {
  EXPECT_THAT(Birkhoff("tokenize --ids 1,x").err, HasSubstr("found 'x' at byte 2"));
  EXPECT_THAT(Birkhoff("tokenize --ids 99999999").err, HasSubstr("0 .. 8191"));
  EXPECT_THAT(Birkhoff("tokenize --ids 99999999999").err, HasSubstr("99999999999"));
  EXPECT_EQ(Birkhoff("tokenize --ids 1 --text x").exit_code, 2);
}

TEST(Score, TellsLogProbabilities) {
  const json j = Birkhoff("score --ids 0,17,42 --top 3 --logits --draft").json();
  EXPECT_EQ(j["ids"], json({0, 17, 42}));
  ASSERT_EQ(j["token_logprobs"].size(), 2u);
  EXPECT_LT(j["token_logprobs"][0].get<double>(), 0);
  ASSERT_EQ(j["top_ids"].size(), 3u);
  ASSERT_EQ(j["top_ids"][0].size(), 3u);
  EXPECT_GE(j["top_logprobs"][2][0].get<double>(), j["top_logprobs"][2][1].get<double>());
  EXPECT_EQ(j["logits_last"].size(), 8192u);
  EXPECT_EQ(j["draft_top1"].size(), 3u);
  EXPECT_EQ(j["draft_logits_last"].size(), 8192u);
}

TEST(Score, PutsTheBeginTokenInFrontOfText) {
  const json with = Birkhoff("score --text 'The quick brown fox'").json();
  const json without = Birkhoff("score --text 'The quick brown fox' --no-bos").json();
  EXPECT_EQ(with["ids"].size(), without["ids"].size() + 1);
  EXPECT_EQ(with["ids"][0], 0);
}

TEST(Score, RefusesIdsOutsideOfTheVocabulary) {
  for (const char* ids : {"8192", "-1", "5,8192"}) {
    const Outcome o = Birkhoff(std::string("score --ids ") + ids);
    EXPECT_EQ(o.exit_code, 2);
    EXPECT_THAT(o.err, HasSubstr("expected 0 .. 8191"));
  }
  const Outcome none = Birkhoff("score --ids ''");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("expected at least one token id in 0 .. 8191, found none"));
}

TEST(Score, RefusesWhatExceedsTheContext) {
  const Outcome o = Birkhoff("score --ids 1,2,3,4,5 --context 4");
  EXPECT_EQ(o.exit_code, 2);
  EXPECT_THAT(o.err, HasSubstr("4"));
}

TEST(Perplexity, AgreesWithScore) {
  const json score = Birkhoff("score --text 'The command ls lists files.'").json();
  double nll = 0;
  for (const json& logprob : score["token_logprobs"]) nll -= logprob.get<double>();
  const json j = Birkhoff("perplexity --json --text 'The command ls lists files.'").json();
  EXPECT_EQ(j["tokens"].get<std::size_t>(), score["token_logprobs"].size());
  EXPECT_NEAR(j["nll"].get<double>(), nll / j["tokens"].get<double>(), 1e-5);
}

TEST(Perplexity, ScoresEveryTokenOnceWhateverTheWindows) {
  std::string ids = "0";
  for (int i = 1; i < 40; ++i) ids += "," + std::to_string(i * 37 % 8192);
  for (const char* windows : {"--context 40", "--context 16 --stride 1", "--context 7 --stride 3",
                              "--context 2 --stride 1"}) {
    const json j = Birkhoff("perplexity --json --ids " + ids + " " + windows).json();
    EXPECT_EQ(j["tokens"], 39) << windows;
  }
}

TEST(Perplexity, RefusesWindowsWithoutOverlap) {
  const Outcome stride = Birkhoff("perplexity --ids 1,2,3 --context 2 --stride 2");
  EXPECT_EQ(stride.exit_code, 2);
  EXPECT_THAT(stride.err, HasSubstr("--stride 2"));
  const Outcome context = Birkhoff("perplexity --ids 1,2,3 --context 1");
  EXPECT_EQ(context.exit_code, 2);
  EXPECT_THAT(context.err, HasSubstr("--context 1"));
}

}  // namespace
}  // namespace birkhoff::cli
