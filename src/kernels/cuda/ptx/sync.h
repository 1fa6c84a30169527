// Ordering between threads of a block and of a grid.
#pragma once

#include <cstdint>

namespace birkhoff::ptx {

// A barrier of `threads` threads of the block, a multiple of 32. Number 0 is __syncthreads().
__device__ inline void SyncSome(int number, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

// Until *p is v; what was written before it became v is visible then. Plain loads, then a fence:
// every load with acquire would invalidate L1.
__device__ inline void WaitUntil(const unsigned* p, unsigned v) {
  unsigned now;
  do {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(p) : "memory");
  } while (now != v);
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

__device__ inline void AddRelaxed(unsigned* p, unsigned v) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}

}  // namespace birkhoff::ptx
