// Which source this binary was built from.
#pragma once

namespace birkhoff::cli {

extern const char* const kVersion;  // "0.1.0"
extern const char* const kCommit;   // git describe of the configured tree, or "unknown"

}  // namespace birkhoff::cli
