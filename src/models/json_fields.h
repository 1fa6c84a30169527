// Typed, range-checked reading of one JSON object of a model's config.json.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"

namespace birkhoff::models {

// Every getter takes the spellings of a field, the usual one first, and reads the first that is
// there and not null. The first error is kept and what follows it is not read, so a config is read
// in plain lines and status() is asked once.
class JsonFields {
 public:
  using Names = std::initializer_list<std::string_view>;

  // `object` must outlive this; `where` starts every message: "config.json". A value that is not an
  // object is an error.
  JsonFields(const nlohmann::json& object, std::string where);

  const Status& status() const { return status_; }
  void Fail(StatusCode code, std::string message);
  void Include(const JsonFields& nested);  // the error of an object inside this one, if any

  bool Has(std::string_view name) const;  // present and not null
  const nlohmann::json* Find(Names names) const;

  // An integer or a finite number in [lo, hi]. Without a fallback the field is required; the
  // fallback itself is not checked. After an error the lowest value is returned.
  std::int64_t Int(Names names, std::int64_t lo, std::int64_t hi,
                   std::optional<std::int64_t> fallback = {});
  double Real(Names names, double lo, double hi, std::optional<double> fallback = {});

  bool Flag(Names names, bool fallback);

  // Lists, each entry checked as above; empty when the field is absent.
  std::vector<std::int64_t> Ints(Names names, std::int64_t lo, std::int64_t hi);
  std::vector<std::string> Strings(Names names);

  // The only value that Birkhoff has code for; absent is fine. kUnsupported for another one.
  void Only(Names names, const nlohmann::json& value);

 private:
  std::optional<std::int64_t> CheckInt(std::string_view name, const nlohmann::json& value,
                                       std::int64_t lo, std::int64_t hi);
  const nlohmann::json* Required(Names names, bool optional);

  const nlohmann::json& object_;
  std::string where_ = {};
  Status status_ = {};
};

}  // namespace birkhoff::models
