// Values that no checkpoint may hold, found at the speed of memory.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"

namespace birkhoff {
class ThreadPool;
}

namespace birkhoff::models {

// The lowest index of a NaN or an infinity among n values, or -1. `data` is aligned to its element;
// integer types have no such value. `pool` may be null; it does not change the answer.
std::int64_t FindNonFinite(DType dtype, const void* data, std::int64_t n, ThreadPool* pool);

// The lowest index of a scale that is not a finite positive number, or -1: F32 that is NaN,
// infinite, zero or negative; E8M0 255. `dtype` is kF32 or kF8E8M0.
std::int64_t FindBadScale(DType dtype, const void* data, std::int64_t n, ThreadPool* pool);

}  // namespace birkhoff::models
