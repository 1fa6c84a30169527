// Copies that complete on their own: remote stores and bulk copies count bytes on an mbarrier.
// sm_90.
#pragma once

#include <cstdint>

namespace birkhoff::ptx {

// Sixteen bytes into the shared memory of a block of the cluster; `barrier` is one of that block.
__device__ inline void StoreAsync(std::uint32_t remote, uint4 v, std::uint32_t barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(remote),
      "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"(barrier)
      : "memory");
}

// The same of one float.
__device__ inline void StoreAsync(std::uint32_t remote, float v, std::uint32_t barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(remote),
      "r"(__float_as_uint(v)), "r"(barrier)
      : "memory");
}

// Device memory to the own shared memory; a multiple of 16 bytes, both ends aligned to 16.
__device__ inline void BulkLoad(std::uint32_t shared, const void* from, std::uint32_t bytes,
                                std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// Sixteen bytes to shared memory past L1.
__device__ inline void CopyAsync(std::uint32_t shared, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
}

// Arrives on a barrier of the own block once all that this thread asked for so far is there.
__device__ inline void ArriveAfterCopies(std::uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Programmatic dependent launch: everything the launch before wrote is visible after this.
__device__ inline void WaitForPrevious() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// Lets the next launch begin where there is room; it still waits for the end of this one before it
// passes its own WaitForPrevious().
__device__ inline void ReleaseNext() { asm volatile("griddepcontrol.launch_dependents;"); }

}  // namespace birkhoff::ptx
