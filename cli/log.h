// Messages for people, on stderr: "birkhoff: warning: ...". Results go to stdout and never through
// here.
#pragma once

#include <string_view>

namespace birkhoff::cli {

enum class LogLevel { kError, kWarn, kInfo, kDebug };

// Messages above the limit are dropped; the limit starts at kInfo. Set it before threads start.
void SetLogLimit(LogLevel limit);

// Writes one line: breaks inside the message become "; ". Information comes without a prefix.
void Log(LogLevel level, std::string_view message);

}  // namespace birkhoff::cli
