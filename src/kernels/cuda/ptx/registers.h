// Registers that warps of one block pass to each other. sm_90a; four warps in step, the first of
// which has a number that four divides.
#pragma once

namespace birkhoff::ptx {

// Until the block has so many registers for each thread of these warps.
template <int kEach>
__device__ inline void TakeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kEach));
}

template <int kEach>
__device__ inline void LeaveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kEach));
}

}  // namespace birkhoff::ptx
