// Counts what the process allocates with operator new.
#pragma once

#include <cstdint>

namespace birkhoff {

// Allocations of all threads since the program began.
std::int64_t AllocationCount();

}  // namespace birkhoff
