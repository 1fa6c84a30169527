#include "base/strict_json.h"

#include <fmt/core.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace birkhoff {
namespace {

using Json = nlohmann::json;

// Called by the parser for every value; throws what ParseStrictJson catches.
class Guard {
 public:
  explicit Guard(int max_depth) : max_depth_(max_depth) {}

  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    switch (event) {
      case Json::parse_event_t::object_start:
        CheckDepth(depth);
        keys_.emplace_back();
        break;
      case Json::parse_event_t::array_start: CheckDepth(depth); break;
      case Json::parse_event_t::object_end: keys_.pop_back(); break;
      case Json::parse_event_t::key: {
        const auto& key = value.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) {
          throw std::invalid_argument(fmt::format("duplicate key '{}'", key));
        }
        break;
      }
      default: break;
    }
    return true;
  }

 private:
  void CheckDepth(int depth) const {
    if (depth >= max_depth_) {
      throw std::invalid_argument(fmt::format("nested deeper than {} levels", max_depth_));
    }
  }

  int max_depth_ = 0;
  std::vector<std::set<std::string>> keys_ = {};  // of the objects that are open
};

}  // namespace

std::string_view JsonErrorText(std::string_view what) {
  const auto tag = what.find("] ");
  return what.starts_with("[json.") && tag != what.npos ? what.substr(tag + 2) : what;
}

Result<nlohmann::json> ParseStrictJson(std::string_view text, std::string_view where,
                                       int max_depth) {
  // The parser takes a NUL for the end of the text and would ignore what follows.
  if (const auto nul = text.find('\0'); nul != text.npos) {
    return Status::InvalidArgument(fmt::format("{}: not JSON: byte {} is NUL", where, nul));
  }
  try {
    Guard guard(max_depth);
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const std::exception& e) {
    return Status::InvalidArgument(fmt::format("{}: {}", where, JsonErrorText(e.what())));
  }
}

}  // namespace birkhoff
