// Thread-block clusters: ranks, barriers and the shared memory of the other blocks. sm_90.
#pragma once

#include <cstdint>

namespace birkhoff::ptx {

__device__ inline std::uint32_t ClusterRank() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ inline std::uint32_t ClusterId() {
  std::uint32_t id;
  asm volatile("mov.u32 %0, %%clusterid.x;" : "=r"(id));
  return id;
}

__device__ inline std::uint32_t ClusterCount() {
  std::uint32_t count;
  asm volatile("mov.u32 %0, %%nclusterid.x;" : "=r"(count));
  return count;
}

// All threads of the cluster; orders shared memory, also remote.
__device__ inline void ClusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

// The same in two parts and without release of what was written: for barriers that
// FenceBarrierInit() made visible, and to stay until the others are done.
__device__ inline void ClusterArriveRelaxed() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
}
__device__ inline void ClusterWait() { asm volatile("barrier.cluster.wait.aligned;" ::: "memory"); }
__device__ inline void ClusterSyncRelaxed() {
  ClusterArriveRelaxed();
  ClusterWait();
}

// Address of an object in the own shared memory, as PTX takes it.
__device__ inline std::uint32_t SharedAddress(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

// Where the same object of block `rank` lies.
__device__ inline std::uint32_t RemoteAddress(std::uint32_t shared, std::uint32_t rank) {
  std::uint32_t remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared), "r"(rank));
  return remote;
}

}  // namespace birkhoff::ptx
