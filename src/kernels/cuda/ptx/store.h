// Stores that are one instruction.
#pragma once

#include <cuda_runtime.h>

namespace birkhoff::ptx {

// Sixteen bytes to device memory, aligned to 16. Of *p = v the compiler makes four stores in some
// places: 122 us for the boundary at T = 4096, H = 4096 in place of 100 (nvcc 13.0, H200).
__device__ inline void Store(void* p, const uint4& v) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z),
               "r"(v.w)
               : "memory");
}

// Eight bytes, aligned to 8.
__device__ inline void Store(void* p, const uint2& v) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(p), "r"(v.x), "r"(v.y) : "memory");
}

}  // namespace birkhoff::ptx
