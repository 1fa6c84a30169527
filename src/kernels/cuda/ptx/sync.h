// Ordering between threads of a block and of a grid.
#pragma once

#include <cstdint>

namespace birkhoff::ptx {

// A barrier of `threads` threads of the block, a multiple of 32. Number 0 is __syncthreads().
__device__ inline void SyncSome(int number, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

__device__ inline unsigned LoadAcquire(const unsigned* p) {
  unsigned v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

__device__ inline void AddRelaxed(unsigned* p, unsigned v) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}

}  // namespace birkhoff::ptx
