// Ordering between threads of a grid.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace birkhoff::ptx {

// Until *p / n is not v any more; what was written before that is visible then. Plain loads, then a
// fence: every load with acquire would invalidate L1.
__device__ inline void WaitUntilNot(const unsigned* p, unsigned v, unsigned n) {
  unsigned now;
  do {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(p) : "memory");
  } while (now / n == v);
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

// Sixteen bytes that come and go as a whole, past L1.
__device__ inline uint4 LoadPiece(const uint4* p) {
  std::uint64_t low;
  std::uint64_t high;
  asm volatile(
      "{\n"
      ".reg .b128 v;\n"
      "ld.relaxed.gpu.global.b128 v, [%2];\n"
      "mov.b128 {%0, %1}, v;\n"
      "}"
      : "=l"(low), "=l"(high)
      : "l"(p)
      : "memory");
  return {static_cast<unsigned>(low), static_cast<unsigned>(low >> 32), static_cast<unsigned>(high),
          static_cast<unsigned>(high >> 32)};
}
__device__ inline void StorePiece(uint4* p, const uint4& v) {
  asm volatile(
      "{\n"
      ".reg .b128 v;\n"
      "mov.b128 v, {%1, %2};\n"
      "st.relaxed.gpu.global.b128 [%0], v;\n"
      "}" ::"l"(p),
      "l"(v.x | static_cast<std::uint64_t>(v.y) << 32),
      "l"(v.z | static_cast<std::uint64_t>(v.w) << 32)
      : "memory");
}

// The same of eight bytes.
__device__ inline std::uint64_t LoadPiece(const std::uint64_t* p) {
  std::uint64_t v;
  asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
__device__ inline void StorePiece(std::uint64_t* p, std::uint64_t v) {
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" ::"l"(p), "l"(v) : "memory");
}

}  // namespace birkhoff::ptx
