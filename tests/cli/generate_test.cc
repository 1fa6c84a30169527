// run: completion, chat, JSON, interruption.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "birkhoff.h"

namespace birkhoff::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPrompt = "run --no-stats --prompt 'The command ls lists' --max-tokens 16 ";

TEST(Run, StreamsTextAndReportsSpeed) {
  const Outcome o = Birkhoff("run --prompt 'The command ls lists' --max-tokens 16");
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_GT(o.out.size(), 16u);
  EXPECT_THAT(o.err, HasSubstr("tok/s"));
  EXPECT_THAT(o.err, HasSubstr("% of the measured"));
  EXPECT_THAT(o.err, Not(HasSubstr("\r"))) << "a progress bar without a terminal";
}

TEST(Run, JsonCarriesTheSameText) {
  const std::string text = Birkhoff(kPrompt).out;
  const json j = Birkhoff(std::string(kPrompt) + "--json").json();
  EXPECT_EQ(j["text"].get<std::string>() + "\n", text);
  EXPECT_EQ(j["ids"].size(), j["generated_tokens"].get<std::size_t>());
  EXPECT_EQ(j["stop"], "max_tokens");
  EXPECT_EQ(j["generated_tokens"], 16);
  const json measured = Birkhoff("run --json --prompt Hello --max-tokens 4").json();
  EXPECT_GT(measured["decode_tokens_per_s"].get<double>(), 0);
  EXPECT_GT(measured["prefill_tokens_per_s"].get<double>(), 0);
  EXPECT_GT(measured["bandwidth_fraction"].get<double>(), 0);
}

TEST(Run, DraftsDoNotChangeTheText) {
  const std::string text = Birkhoff(kPrompt).out;
  EXPECT_EQ(Birkhoff(std::string(kPrompt) + "--no-speculate").out, text);
  EXPECT_EQ(Birkhoff(std::string(kPrompt) + "--no-draft --threads 1").out, text);
  EXPECT_EQ(Birkhoff("run --no-stats --max-tokens 16", "The command ls lists").out, text);
}

TEST(Run, SeedsDecide) {
  const std::string sampled = std::string(kPrompt) + "--temperature 1 --seed ";
  EXPECT_EQ(Birkhoff(sampled + "1").out, Birkhoff(sampled + "1").out);
  EXPECT_NE(Birkhoff(sampled + "1").out, Birkhoff(sampled + "2").out);
}

TEST(Run, NeedsAPrompt) {
  const Outcome o = Birkhoff("run");
  EXPECT_EQ(o.exit_code, 2);
  EXPECT_THAT(o.err, HasSubstr("no prompt"));
  EXPECT_EQ(Birkhoff("run --prompt x --temperature -1").exit_code, 2);
}

TEST(Run, RefusesFlagsThatWouldGoUnheeded) {
  const char* const kRefused[][2] = {{"--messages - --prompt x", "--messages with --prompt"},
                                     {"--messages - --file x", "--messages with --file"},
                                     {"-i --prompt x", "--interactive with --prompt"},
                                     {"-i --json", "--interactive with --json"},
                                     {"--thinking --prompt x", "--thinking: expected --chat"}};
  for (const auto& [flags, message] : kRefused) {
    const Outcome o = Birkhoff(std::string("run ") + flags);
    EXPECT_EQ(o.exit_code, 2) << flags;
    EXPECT_THAT(o.err, HasSubstr(message));
  }
}

TEST(Run, AnswersConversations) {
  const std::string messages = R"({"messages": [{"role": "system", "content": "Be brief."},
                                                {"role": "user", "content": "Hi"}]})";
  const json j = Birkhoff("run --messages - --json --max-tokens 8 --no-stats", messages).json();
  EXPECT_TRUE(j["text"].is_string());
  EXPECT_TRUE(j["tool_calls"].is_array());
  EXPECT_EQ(j["generated_tokens"], 8);
}

TEST(Run, ChatKeepsTheConversation) {
  const Outcome o = Birkhoff("run --interactive --max-tokens 4",
                             "/help\nHello\nAnd you?\n/reset\nHello\n/exit\nnever read\n");
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("/reset"));
  // The second turn prefills only what the first left out; the third starts over.
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = o.err.find("prefill ", at)) != std::string::npos; ++at) ++answers;
  EXPECT_EQ(answers, 3u) << o.err;
}

TEST(Run, ChatGoesOnAfterAnError) {
  // The long message exceeds the context; without it the conversation fits again.
  const Outcome o = Birkhoff("run -i --max-tokens 2 --context 64",
                             "Hi\n" + std::string(2000, '?') + " and more\nHi\n");
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("birkhoff: error: "));
  EXPECT_NE(o.err.find("prefill ", o.err.find("error: ")), std::string::npos) << o.err;
}

TEST(Run, AnInterruptEndsTheTextNotTheProgram) {
  const Outcome o = Birkhoff("run --prompt 'The' --max-tokens 60000 --ignore-eos", "",
                             "timeout --preserve-status -s INT 3");
  EXPECT_EQ(o.exit_code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("stop: interrupted"));
}

}  // namespace
}  // namespace birkhoff::cli
