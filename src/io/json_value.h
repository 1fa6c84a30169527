// A JSON text as a tree, in the order in which it was written.
//
// Unlike the usual maps it keeps the order of members and the digits of large integers, and it can
// be written as Python's json.dumps(value, ensure_ascii=False) writes it, which is what chat
// prompts of DeepSeek models are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"

namespace birkhoff::io {

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  std::string text = {};  // of a string its content; of a number or bool as Python writes it
  std::vector<std::string> keys = {};  // of an object, one per item
  std::vector<JsonValue> items = {};   // of an array or object

  bool Is(Kind k) const { return kind == k; }

  // The member of that name. Null when it is absent, or null, or this is no object.
  const JsonValue* Find(std::string_view key) const;

  std::optional<std::int64_t> Integer() const;  // of a number without fraction or exponent
};

// "a string", "an object", ...: for messages.
std::string_view JsonKindName(JsonValue::Kind kind);

constexpr std::size_t kDeepestJson = 128;

// Refuses duplicate keys and nesting deeper than `deepest` as well.
// Errors   kInvalidArgument with the position or the key.
Result<JsonValue> ParseJson(std::string_view text, std::size_t deepest = kDeepestJson);

std::string ToPythonJson(const JsonValue& value);

// Appends `text` as it stands between the quotes of a JSON string.
void AppendJsonEscaped(std::string_view text, std::string* out);

}  // namespace birkhoff::io
