#include "io/json_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strict_json.h"

namespace birkhoff::io {
namespace {

using Kind = JsonValue::Kind;

// As repr() of a float: the fewest digits that read back the same, plain from 1e-4 to 1e16.
std::string PythonFloat(double value) {
  char buffer[32];
  const char* end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, end - buffer);
  int exponent = 0;
  const std::size_t e = scientific.find('e');
  const char* digits = scientific.data() + e + (scientific[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits, end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const std::size_t point = std::min(scientific.find('.'), e);
  const int decimals = static_cast<int>(e - point) - (point < e ? 1 : 0) - exponent;
  return fmt::format("{:.{}f}", value, std::max(decimals, 1));
}

// Builds the tree; the parser that calls it does not recurse.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeBuilder(std::size_t deepest) : deepest_(deepest) {}

  bool null() override { return Add(Kind::kNull, {}); }
  bool boolean(bool value) override { return Add(Kind::kBool, value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return Add(Kind::kNumber, fmt::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add(Kind::kNumber, fmt::to_string(value));
  }
  bool number_float(number_float_t value, const std::string& written) override {
    const bool integer = written.find_first_of(".eE") == std::string::npos;
    return Add(Kind::kNumber, integer ? written : PythonFloat(value));
  }
  bool string(std::string& value) override { return Add(Kind::kString, std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(Kind::kObject); }
  bool end_object() override {
    std::vector<std::string_view> keys(open_.back()->keys.begin(), open_.back()->keys.end());
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) {
      error_ = fmt::format("duplicate key \"{}\"", *twice);
      return false;
    }
    return Close();
  }
  bool start_array(std::size_t) override { return Open(Kind::kArray); }
  bool end_array() override { return Close(); }
  bool key(std::string& value) override {
    open_.back()->keys.push_back(std::move(value));
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) override {
    error_ = JsonErrorText(e.what());
    return false;
  }

  JsonValue root = {};
  const std::string& error() const { return error_; }

 private:
  JsonValue* Place() {
    if (open_.empty()) return &root;
    return &open_.back()->items.emplace_back();
  }
  bool Add(Kind kind, std::string text) {
    JsonValue* value = Place();
    value->kind = kind;
    value->text = std::move(text);
    return true;
  }
  bool Open(Kind kind) {
    if (open_.size() == deepest_) {
      error_ = fmt::format("nested deeper than {}", deepest_);
      return false;
    }
    JsonValue* value = Place();
    value->kind = kind;
    open_.push_back(value);  // stays valid: only the innermost items grow
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  std::size_t deepest_ = 0;
  std::vector<JsonValue*> open_ = {};
  std::string error_ = {};
};

void Write(const JsonValue& value, std::string* out) {
  switch (value.kind) {
    case Kind::kNull: *out += "null"; return;
    case Kind::kBool:
    case Kind::kNumber: *out += value.text; return;
    case Kind::kString:
      *out += '"';
      AppendJsonEscaped(value.text, out);
      *out += '"';
      return;
    case Kind::kArray:
    case Kind::kObject: break;
  }
  const bool object = value.Is(Kind::kObject);
  *out += object ? '{' : '[';
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) *out += ", ";
    if (object) {
      *out += '"';
      AppendJsonEscaped(value.keys[i], out);
      *out += "\": ";
    }
    Write(value.items[i], out);
  }
  *out += object ? '}' : ']';
}

}  // namespace

const JsonValue* JsonValue::Find(std::string_view key) const {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return items[i].Is(Kind::kNull) ? nullptr : &items[i];
  }
  return nullptr;
}

std::optional<std::int64_t> JsonValue::Integer() const {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (kind != Kind::kNumber || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::string_view JsonKindName(JsonValue::Kind kind) {
  switch (kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return "a bool";
    case Kind::kNumber: return "a number";
    case Kind::kString: return "a string";
    case Kind::kArray: return "an array";
    case Kind::kObject: return "an object";
  }
  return "";
}

Result<JsonValue> ParseJson(std::string_view text, std::size_t deepest) {
  // The parser takes a NUL for the end of the text and would ignore what follows.
  if (const std::size_t nul = text.find('\0'); nul != text.npos) {
    return Status::InvalidArgument(fmt::format("not JSON: byte {} is NUL", nul));
  }
  TreeBuilder builder(deepest);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return Status::InvalidArgument("not JSON: " + builder.error());
  }
  return std::move(builder.root);
}

std::string ToPythonJson(const JsonValue& value) {
  std::string out;
  Write(value, &out);
  return out;
}

void AppendJsonEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    switch (c) {
      case '"': *out += "\\\""; break;
      case '\\': *out += "\\\\"; break;
      case '\n': *out += "\\n"; break;
      case '\r': *out += "\\r"; break;
      case '\t': *out += "\\t"; break;
      case '\b': *out += "\\b"; break;
      case '\f': *out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          *out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          *out += c;
        }
    }
  }
}

}  // namespace birkhoff::io
