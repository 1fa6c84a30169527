// What Tokenizer::FromJson accepts and what it says of the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "birkhoff/tokenizer.h"
#include "io/small_tokenizer.h"

namespace birkhoff {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

Result<Tokenizer> Changed(const std::function<void(json&)>& change) {
  json tokenizer = SmallTokenizer();
  change(tokenizer);
  return Tokenizer::FromJson(tokenizer.dump());
}

TEST(TokenizerJson, SmallOne) {
  const Result<Tokenizer> tokenizer = Tokenizer::FromJson(SmallTokenizer().dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  const Ids ids = tokenizer->Encode("aaaaabc  1234<s>x<s>", {.parse_special = true});
  std::vector<std::string> texts;
  for (const std::int32_t id : ids) texts.emplace_back(tokenizer->TokenText(id));
  EXPECT_EQ(texts,
            (std::vector<std::string>{"aaaa", "abc", " ", " ", "1", "2", "3", "4", "<s>x", "<s>"}));
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
}

TEST(TokenizerJson, AcceptsOtherSpellings) {
  const auto expect_same = [](const std::function<void(json&)>& change) {
    const Result<Tokenizer> tokenizer = Changed(change);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
    EXPECT_EQ(tokenizer->Encode("aaaaabc 12").size(), 5u);
  };
  expect_same([](json& t) { t["model"]["merges"][0] = "a a"; });
  expect_same([](json& t) { t["model"].erase("byte_fallback"); });
  expect_same([](json& t) { t["model"]["dropout"] = 0.0; });
  expect_same([](json& t) {
    t["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
  });
  expect_same([](json& t) { t["model"]["vocab"]["hole"] = 5000; });
  expect_same([](json& t) { t.erase("added_tokens"); });
}

TEST(TokenizerJson, BlanksAreThoseOfUnicode) {
  const Result<Tokenizer> tokenizer = Changed([](json& t) {
    t["model"]["vocab"]["İb"] = 700, t["model"]["merges"].push_back({"İ", "b"});
  });
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  // U+180E (E1 A0 8E) has been no blank since Unicode 6.3: it stays in one piece with the
  // letter, and the merge of 8E and b applies.
  EXPECT_EQ(tokenizer->Encode("\u180Eb").size(), 3u);
}

TEST(TokenizerJson, ReadsBeginAndEnd) {
  const std::string text = SmallTokenizer().dump();
  const Result<Tokenizer> tokenizer = Tokenizer::FromJson(
      text, R"({"bos_token": "<s>", "eos_token": {"content": "<s>x"}, "pad_token": "?"})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 1);
  EXPECT_THAT(Tokenizer::FromJson(text, R"({"bos_token": "<x>"})").status().message(),
              HasSubstr("tokenizer_config.json: bos_token: expected the text of an added token"));
  EXPECT_THAT(Tokenizer::FromJson(text, "[").status().message(), HasSubstr("not JSON"));
}

struct Wrong {
  std::function<void(json&)> change = {};
  std::string message = {};
};

void ExpectRefused(const std::vector<Wrong>& cases) {
  for (const Wrong& c : cases) {
    const Result<Tokenizer> tokenizer = Changed(c.change);
    ASSERT_FALSE(tokenizer.ok()) << c.message;
    EXPECT_THAT(tokenizer.status().message(), HasSubstr("tokenizer.json: "));
    EXPECT_THAT(tokenizer.status().message(), HasSubstr(c.message));
  }
}

TEST(TokenizerJson, NamesWhatIsWrongWithTheModel) {
  ExpectRefused({
      {[](json& t) { t = json::array(); }, "expected an object, found an array"},
      {[](json& t) { t.erase("model"); }, "root.model: expected an object, found nothing"},
      {[](json& t) { t["model"]["type"] = "Unigram"; }, "model.type is Unigram, supported is BPE"},
      {[](json& t) { t["model"].erase("type"); }, "model.type is nothing"},
      {[](json& t) { t["model"].erase("vocab"); }, "model.vocab: expected an object"},
      {[](json& t) { t["model"].erase("merges"); }, "model.merges: expected an array"},
      {[](json& t) { t["model"]["byte_fallback"] = true; }, "model.byte_fallback is true"},
      {[](json& t) { t["model"]["dropout"] = 0.5; }, "model.dropout is 0.5"},
      {[](json& t) {
         t["normalizer"] = {{"type", "NFC"}};
       },
       "normalizer NFC is not supported"},
      {[](json& t) {
         t["decoder"] = {{"type", "Metaspace"}};
       },
       "decoder is Metaspace"},
      {[](json& t) { t["model"]["vocab"]["x"] = -1; }, "id -1 of \"x\" is not in [0, 66588)"},
      {[](json& t) { t["model"]["vocab"]["hole"] = (1 << 24) - 1; },
       "id 16777215 of \"hole\" is not in [0, 66592), which is what a file of 264 tokens may use"},
      {[](json& t) { t["added_tokens"][1]["id"] = 66588; },
       "added_tokens[1]: id 66588 of \"<s>x\" is not in [0, 66588)"},
      {[](json& t) { t["model"]["vocab"]["x"] = 1e300; }, "integer id, found \"x\": 1e+300"},
      {[](json& t) { t["model"]["vocab"]["x"] = "7"; }, "found \"x\": \"7\""},
      {[](json& t) { t["model"]["vocab"]["new"] = 99; }, "\"a\" has id 99"},
      {[](json& t) { t["model"]["vocab"].erase("Ġ"); }, "the token of byte 0x20: \"Ġ\" is not in"},
      {[](json& t) {
         t["model"]["merges"][3] = {"a", "zz"};
       },
       "merges[3]: \"zz\" is not in"},
      {[](json& t) {
         t["model"]["merges"][3] = {"a", "z"};
       },
       "merges[3]: \"az\" is not in"},
      {[](json& t) { t["model"]["merges"][3] = "ab"; },
       "merges[3]: expected two tokens, found \"ab\""},
      {[](json& t) {
         t["model"]["merges"][3] = {1, 2};
       },
       "merges[3]: expected two tokens, found [1, 2]"},
      {[](json& t) { t["added_tokens"][1]["content"] = ""; }, "added_tokens[1]: expected a text"},
      {[](json& t) { t["added_tokens"][1]["id"] = 0; },
       "added_tokens[1]: expected a text and an id"},
      {[](json& t) { t["added_tokens"][1]["id"] = 50; }, "\"<s>x\" has id 50, but \"0\" has id 50"},
      {[](json& t) { t["added_tokens"][1]["content"] = "<s>"; },
       "\"<s>\" has id 1, but \"<s>\" has id 0"},
      {[](json& t) { t["added_tokens"][1]["id"] = 1.5; }, "id -1 of \"<s>x\""},
      {[](json& t) { t["added_tokens"][0]["lstrip"] = true; }, "added_tokens[0].lstrip is true"},
      {[](json& t) { t["added_tokens"][0] = 3; }, "added_tokens[0].content: expected a string"},
  });
}

TEST(TokenizerJson, NamesWhatIsWrongWithTheSteps) {
  const auto step = [](json& t, int i) -> json& { return t["pre_tokenizer"]["pretokenizers"][i]; };
  ExpectRefused({
      {[&](json& t) { step(t, 0)["type"] = "Digits"; }, "pre_tokenizer[0] is Digits"},
      {[&](json& t) { step(t, 0)["behavior"] = "Removed"; },
       "pre_tokenizer[0].behavior is \"Removed\""},
      {[&](json& t) { step(t, 0)["invert"] = true; }, "pre_tokenizer[0].invert is true"},
      {[&](json& t) {
         step(t, 0)["pattern"] = {{"String", " "}};
       },
       "pattern.Regex: expected a string"},
      {[&](json& t) { step(t, 0)["pattern"]["Regex"] = "(a"; }, "pre_tokenizer[0]: cannot read"},
      {[&](json& t) { step(t, 0)["pattern"]["Regex"] = "\\C"; }, "pre_tokenizer[0]: cannot read"},
      {[&](json& t) { step(t, 1)["use_regex"] = true; }, "pre_tokenizer[1].use_regex is true"},
      {[&](json& t) { step(t, 1).erase("use_regex"); }, "pre_tokenizer[1].use_regex is absent"},
      {[&](json& t) { step(t, 1)["add_prefix_space"] = true; }, "add_prefix_space is true"},
      {[](json& t) { t["pre_tokenizer"]["pretokenizers"] = json::array(); }, "has no steps"},
      {[](json& t) { t["pre_tokenizer"] = nullptr; }, "root.pre_tokenizer: expected an object"},
  });
}

TEST(TokenizerJson, TruncatedFilesFail) {
  const std::string text = SmallTokenizer().dump();
  for (std::size_t size = 0; size < text.size(); size += 7) {
    EXPECT_FALSE(Tokenizer::FromJson(text.substr(0, size)).ok());
  }
}

TEST(TokenizerJson, LoadNamesTheFile) {
  const Status status = Tokenizer::Load("/nowhere").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("/nowhere"));
  EXPECT_TRUE(Tokenizer::Load(BIRKHOFF_SOURCE_DIR "/models/tiny-v4/tokenizer.json").ok());
}

// A pattern that backtracks without end costs pieces, not the process or a byte of the text.
TEST(TokenizerJson, EndlessPatternsAreGivenUp) {
  const Result<Tokenizer> tokenizer = Changed(
      [](json& t) { t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a|aa)+[bc]"; });
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  const std::string text(40, 'a');
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text)), text);
}

}  // namespace
}  // namespace birkhoff
