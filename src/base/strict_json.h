// JSON from outside: configuration files and indexes whose author nobody vouches for.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "birkhoff/status.h"

namespace birkhoff {

// Parses one JSON value. Beyond the grammar it refuses duplicate keys, of which parsers disagree
// on the winner, and nesting deeper than max_depth. `where` names the file in messages.
//
// Errors   kInvalidArgument  with line and column, or the key
Result<nlohmann::json> ParseStrictJson(std::string_view text, std::string_view where,
                                       int max_depth = 32);

// What nlohmann's exception says, without its "[json.exception...]" tag.
std::string_view JsonErrorText(std::string_view what);

}  // namespace birkhoff
