// Counts what the process asks of files and of its environment.
#pragma once

#include <cstdint>

namespace birkhoff {

// Calls of open, fopen and getenv in their variants, by any thread since the program began.
std::int64_t OutsideReadCount();

}  // namespace birkhoff
