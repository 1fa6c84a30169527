#include "base/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace birkhoff {
namespace {

using testing::HasSubstr;

TEST(ParseStrictJson, TakesJson) {
  const auto json = ParseStrictJson(R"({"a": [1, {"a": 2}], "b": {"a": null}})", "f");
  ASSERT_TRUE(json.ok()) << json.status().ToString();
  EXPECT_EQ((*json)["a"][1]["a"], 2);
}

struct Bad {
  std::string text = {};
  std::string message = {};
};

TEST(ParseStrictJson, RefusesEverythingElse) {
  const Bad cases[] = {
      {"", "f: parse error at line 1, column 1"},
      {"{", "parse error"},
      {"{} x", "parse error at line 1, column 4"},
      {R"({"a": NaN})", "parse error at line 1, column 7"},
      {R"({"a": 1e999})", "number overflow"},
      {"\"\xff\"", "ill-formed UTF-8"},
      {std::string("{}\0{", 4), "byte 2 is NUL"},
      {R"({"a": 1, "b": {}, "a": 2})", "f: duplicate key 'a'"},
      {R"([{"b": {"c": 1, "c": 1}}])", "duplicate key 'c'"},
      {std::string(5, '[') + std::string(5, ']'), "nested deeper than 4 levels"},
      {std::string(1 << 20, '['), "nested deeper than 4 levels"},
  };
  for (const Bad& c : cases) {
    const auto json = ParseStrictJson(c.text, "f", 4);
    EXPECT_EQ(json.status().code(), StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(json.status().message(), HasSubstr(c.message));
  }
  EXPECT_TRUE(ParseStrictJson("[[[[]]]]", "f", 4).ok());
}

}  // namespace
}  // namespace birkhoff
