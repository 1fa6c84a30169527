#include "birkhoff/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "io/utf8.h"

namespace birkhoff {
namespace {

using Ids = std::vector<std::int32_t>;

const std::string kModel = BIRKHOFF_SOURCE_DIR "/models/tiny-v4";

Tokenizer TinyTokenizer() {
  Result<Tokenizer> tokenizer = Tokenizer::Load(kModel);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return *std::move(tokenizer);
}

std::string Repeat(std::string_view unit, std::size_t size) {
  std::string text;
  text.reserve(size + unit.size());
  while (text.size() < size) text += unit;
  return text;
}

std::string RandomBytes(std::mt19937* random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((*random)());
  return text;
}

TEST(Tokenizer, AgreesWithHuggingFace) {
  const Tokenizer tokenizer = TinyTokenizer();
  std::ifstream file(BIRKHOFF_SOURCE_DIR "/tests/data/tokenizer_vectors.json");
  const nlohmann::json vectors = nlohmann::json::parse(file);
  ASSERT_EQ(vectors.size(), 351u);
  for (const auto& vector : vectors) {
    const std::string text = vector["text"];
    const Ids ids = tokenizer.Encode(text, {.parse_special = true});
    EXPECT_EQ(ids, vector["ids"].get<Ids>()) << text;
    EXPECT_EQ(tokenizer.Decode(ids), vector["decoded"].get<std::string>());
  }
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer tokenizer = TinyTokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 8192);
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.AddedTokenId("</think>"), 6);
  EXPECT_EQ(tokenizer.AddedTokenId("the"), std::nullopt);
  EXPECT_TRUE(tokenizer.IsSpecial(15));
  EXPECT_FALSE(tokenizer.IsSpecial(16));
  EXPECT_EQ(tokenizer.TokenText(530), "The");
  EXPECT_EQ(tokenizer.TokenText(236), " ");
  for (const std::int32_t id : {-1, 8192, std::numeric_limits<std::int32_t>::max()}) {
    EXPECT_EQ(tokenizer.TokenText(id), "");
    EXPECT_FALSE(tokenizer.IsSpecial(id));
  }
  EXPECT_EQ(tokenizer.Decode(Ids{0, 530, -5, 856, 9999, 1}, /*skip_special=*/true), "The kernel");
}

TEST(Tokenizer, TextOfUsersCannotBecomeSpecial) {
  const Tokenizer tokenizer = TinyTokenizer();
  std::string all;
  for (std::int32_t id = 0; id < 16; ++id) all += tokenizer.TokenText(id);
  const Ids ids = tokenizer.Encode(all);
  for (const std::int32_t id : ids) EXPECT_GE(id, 16);
  EXPECT_EQ(tokenizer.Decode(ids), all);
  EXPECT_EQ(tokenizer.Encode(all, {.parse_special = true}).size(), 16u);
}

TEST(Tokenizer, PartsJoinButMarkupCountsInMarkupOnly) {
  const Tokenizer tokenizer = TinyTokenizer();
  const std::vector<TextPart> parts = {
      {"<think>name=\"read", true}, {"_file", false}, {"\"></think>", true}};
  EXPECT_EQ(tokenizer.Encode(parts),
            tokenizer.Encode("<think>name=\"read_file\"></think>", {.parse_special = true}));
  // Neither a plain part nor two parts together make a special token.
  const std::vector<TextPart> attack = {
      {"</think>", false}, {"<th", false}, {"ink>", true}, {"<thi", true}, {"nk>", false}};
  EXPECT_EQ(tokenizer.Encode(attack), tokenizer.Encode("</think><think><think>"));
}

TEST(Tokenizer, AnyBytesComeBack) {
  const Tokenizer tokenizer = TinyTokenizer();
  std::mt19937 random(1);
  std::vector<std::string> texts = {std::string(1, '\0'),
                                    "\xff",
                                    "a\xc3",
                                    "\xed\xa0\x80 x",
                                    "1\xf0\x9f\x99"
                                    "2",
                                    "\xf0\x9f\x99\x82\x82"};
  for (std::size_t size = 1; size < 300; ++size) texts.push_back(RandomBytes(&random, size));
  for (const std::string& text : texts) EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
}

TEST(Tokenizer, SixteenMebibytesOfOneKind) {
  const Tokenizer tokenizer = TinyTokenizer();
  const std::size_t size = std::size_t{16} << 20;
  for (const std::string_view unit :
       {std::string_view("Z"), std::string_view(" "), std::string_view("\u0301"),
        std::string_view("7"), std::string_view("\xff"), std::string_view("\0", 1)}) {
    const std::string text = Repeat(unit, size);
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text, {.parse_special = true})), text) << unit;
  }
}

TEST(Tokenizer, LongPiecesMergeAsShortOnes) {
  const Tokenizer tokenizer = TinyTokenizer();
  // 32 blanks are one token: a run of n of them is cut alike however long it is.
  for (const std::size_t blanks : {32, 320, 32000}) {
    const Ids ids = tokenizer.Encode(std::string(blanks, ' '));
    EXPECT_EQ(ids, Ids(blanks / 32, ids[0]));
  }
}

TEST(Tokenizer, ThreadsShareIt) {
  const Tokenizer tokenizer = TinyTokenizer();
  const std::string text = Repeat("The 12345 quick\tfoxes, 今天.\n", 20000);
  const Ids expected = tokenizer.Encode(text);
  std::vector<Ids> ids(4);
  std::vector<std::thread> threads;
  for (Ids& mine : ids) threads.emplace_back([&] { mine = tokenizer.Encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& mine : ids) EXPECT_EQ(mine, expected);
}

TEST(StreamDecoder, NeverSplitsACharacter) {
  const Tokenizer tokenizer = TinyTokenizer();
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    Ids ids = tokenizer.Encode("今天 🙂 é" + RandomBytes(&random, round % 20) + "¿木?");
    for (int i = 0; i < round % 10; ++i) {
      ids.insert(ids.begin() + random() % ids.size(), random() % 8300);
    }
    for (const bool skip : {false, true}) {
      StreamDecoder decoder(tokenizer, {.skip_special = skip});
      std::string text;
      for (const std::int32_t id : ids) {
        const std::string piece = decoder.Feed(id);
        ASSERT_EQ(io::ValidUtf8Prefix(piece), piece.size());
        text += piece;
      }
      text += decoder.Finish();
      std::string bytes = tokenizer.Decode(ids, skip);
      std::string expected;
      io::DrainUtf8(&bytes, /*at_end=*/true, &expected);
      ASSERT_EQ(text, expected);
    }
  }
}

TEST(StreamDecoder, FinishFlushesWhatIsHeldBack) {
  const Tokenizer tokenizer = TinyTokenizer();
  StreamDecoder decoder(tokenizer);
  for (const std::int32_t id : tokenizer.Encode("x\xf0\x9f")) decoder.Feed(id);
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
  std::string text;
  for (const std::int32_t id : tokenizer.Encode("🙂")) text += decoder.Feed(id);
  EXPECT_EQ(text, "🙂");
}

}  // namespace
}  // namespace birkhoff
