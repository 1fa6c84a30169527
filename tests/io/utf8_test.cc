#include "io/utf8.h"

#include <gtest/gtest.h>

namespace birkhoff::io {
namespace {

std::string Clean(std::string text) {
  std::string out;
  DrainUtf8(&text, /*at_end=*/true, &out);
  EXPECT_EQ(text, "");
  return out;
}

TEST(Utf8, EveryCharacterComesBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Unit unit = NextUtf8(text);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(unit.kind, surrogate ? Utf8Kind::kInvalid : Utf8Kind::kValid) << std::hex << +c;
    if (surrogate) continue;
    ASSERT_EQ(unit.size, text.size());
    ASSERT_EQ(unit.character, c);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(NextUtf8(text.substr(0, cut)).kind, Utf8Kind::kTruncated);
    }
  }
}

// The examples of the Unicode Standard, section 3.9 (U+FFFD substitution of maximal subparts).
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(Clean("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(Clean("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(Clean("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(Clean("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

}  // namespace
}  // namespace birkhoff::io
