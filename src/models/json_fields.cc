#include "models/json_fields.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace birkhoff::models {
namespace {

using Json = nlohmann::json;

// A value as it stands in messages.
std::string Show(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr std::size_t kLongest = 80;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

}  // namespace

JsonFields::JsonFields(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object.is_object()) {
    Fail(StatusCode::kInvalidArgument, fmt::format("expected an object, found {}", Show(object)));
  }
}

void JsonFields::Fail(StatusCode code, std::string message) {
  if (status_.ok()) status_ = Status(code, fmt::format("{}: {}", where_, message));
}

void JsonFields::Include(const JsonFields& nested) {
  if (!nested.status().ok()) Fail(nested.status().code(), nested.status().message());
}

bool JsonFields::Has(std::string_view name) const { return Find({name}) != nullptr; }

const Json* JsonFields::Find(Names names) const {
  if (!status_.ok()) return nullptr;
  for (const std::string_view name : names) {
    const auto it = object_.find(name);
    if (it != object_.end() && !it->is_null()) return &*it;
  }
  return nullptr;
}

const Json* JsonFields::Required(Names names, bool optional) {
  const Json* value = Find(names);
  if (value == nullptr && !optional) {
    Fail(StatusCode::kInvalidArgument, fmt::format("'{}' is missing", *names.begin()));
  }
  return value;
}

std::optional<std::int64_t> JsonFields::CheckInt(std::string_view name, const Json& value,
                                                 std::int64_t lo, std::int64_t hi) {
  // An unsigned beyond int64 would wrap in get<std::int64_t>().
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
  const std::int64_t v = fits ? value.get<std::int64_t>() : 0;
  if (fits && v >= lo && v <= hi) return v;
  Fail(StatusCode::kInvalidArgument,
       fmt::format("'{}' is {}, expected an integer in [{}, {}]", name, Show(value), lo, hi));
  return {};
}

std::int64_t JsonFields::Int(Names names, std::int64_t lo, std::int64_t hi,
                             std::optional<std::int64_t> fallback) {
  const Json* value = Required(names, fallback.has_value());
  if (value == nullptr) return fallback.value_or(lo);
  return CheckInt(*names.begin(), *value, lo, hi).value_or(lo);
}

double JsonFields::Real(Names names, double lo, double hi, std::optional<double> fallback) {
  const Json* value = Required(names, fallback.has_value());
  if (value == nullptr) return fallback.value_or(lo);
  const double v = value->is_number() ? value->get<double>() : std::nan("");
  if (v >= lo && v <= hi) return v;  // false for NaN
  Fail(StatusCode::kInvalidArgument, fmt::format("'{}' is {}, expected a number in [{}, {}]",
                                                 *names.begin(), Show(*value), lo, hi));
  return lo;
}

bool JsonFields::Flag(Names names, bool fallback) {
  const Json* value = Find(names);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Fail(StatusCode::kInvalidArgument,
       fmt::format("'{}' is {}, expected true or false", *names.begin(), Show(*value)));
  return fallback;
}

std::vector<std::int64_t> JsonFields::Ints(Names names, std::int64_t lo, std::int64_t hi) {
  const Json* list = Find(names);
  if (list == nullptr) return {};
  if (!list->is_array()) {
    Fail(StatusCode::kInvalidArgument,
         fmt::format("'{}' is {}, expected a list of integers", *names.begin(), Show(*list)));
    return {};
  }
  std::vector<std::int64_t> values;
  for (const Json& item : *list) {
    const std::string name = fmt::format("{}[{}]", *names.begin(), values.size());
    const auto v = CheckInt(name, item, lo, hi);
    if (!v) return {};
    values.push_back(*v);
  }
  return values;
}

std::vector<std::string> JsonFields::Strings(Names names) {
  const Json* list = Find(names);
  if (list == nullptr) return {};
  std::vector<std::string> values;
  for (const Json& item : *list) {
    if (item.is_string()) values.push_back(item.get<std::string>());
  }
  if (!list->is_array() || values.size() != list->size()) {
    Fail(StatusCode::kInvalidArgument,
         fmt::format("'{}' is {}, expected a list of strings", *names.begin(), Show(*list)));
    return {};
  }
  return values;
}

void JsonFields::Only(Names names, const Json& expected) {
  const Json* value = Find(names);
  if (value == nullptr || *value == expected) return;
  Fail(StatusCode::kUnsupported, fmt::format("'{}' is {}, only {} is supported", *names.begin(),
                                             Show(*value), Show(expected)));
}

}  // namespace birkhoff::models
