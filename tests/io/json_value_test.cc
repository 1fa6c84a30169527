#include "io/json_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace birkhoff::io {
namespace {

std::string Rewritten(std::string_view text) {
  const Result<JsonValue> value = ParseJson(text);
  return value.ok() ? ToPythonJson(*value) : value.status().ToString();
}

TEST(JsonValue, WritesAsPythonDoes) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"{\"b\":1,\"a\":[true,null,{}],\"c\":[]}", "{\"b\": 1, \"a\": [true, null, {}], \"c\": []}"},
      {"\"\\u00e9\\u4eca\\ud83d\\ude42\\/\\u007f\"", "\"é今🙂/\x7f\""},
      {"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\""},
      {"[0, -7, 18446744073709551615, 123456789012345678901234567890]",
       "[0, -7, 18446744073709551615, 123456789012345678901234567890]"},
      {"[1.0, 2.50, -0.0, 0.1, 1e3, 1E15, 1e16, 1.25e-5, 0.0001, 123456.789, 5e-324]",
       "[1.0, 2.5, -0.0, 0.1, 1000.0, 1000000000000000.0, 1e+16, 1.25e-05, 0.0001, 123456.789, "
       "5e-324]"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Rewritten(text), expected);
}

TEST(JsonValue, RefusesWhatIsNoJson) {
  using testing::HasSubstr;
  for (const std::string_view text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "\"\xff\"", "1 2",
                                      "\"\\ud800\"", "1e999", "'a'", "NaN"}) {
    EXPECT_THAT(Rewritten(text), HasSubstr("not JSON")) << text;
  }
  EXPECT_THAT(Rewritten(std::string_view("1\0", 2)), HasSubstr("byte 1 is NUL"));
  EXPECT_THAT(Rewritten("{\"a\": 1, \"b\": 2, \"a\": 1}"), HasSubstr("duplicate key \"a\""));
  EXPECT_THAT(Rewritten(std::string(128, '[') + std::string(128, ']')), HasSubstr("[[["));
  EXPECT_THAT(Rewritten(std::string(1 << 20, '[')), HasSubstr("nested deeper than 128"));
}

TEST(JsonValue, FindsMembers) {
  const Result<JsonValue> value = ParseJson("{\"a\": null, \"b\": 5, \"c\": 5.0, \"d\": \"5\"}");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->Find("a"), nullptr);
  EXPECT_EQ(value->Find("z"), nullptr);
  EXPECT_EQ(value->Find("b")->Integer(), 5);
  EXPECT_EQ(value->Find("c")->Integer(), std::nullopt);
  EXPECT_EQ(value->Find("d")->Integer(), std::nullopt);
}

}  // namespace
}  // namespace birkhoff::io
