// What decides the plan of the mHC kernels on Hopper: resident clusters, latencies of launches and
// remote stores, and what part of the bandwidth fewer SMs reach. One JSON object per line.
//
//   nvcc -std=c++20 -O3 -gencode arch=compute_90a,code=sm_90a -I src bench/probes/hopper.cu
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/cuda/ptx/async.h"
#include "kernels/cuda/ptx/cluster.h"
#include "kernels/cuda/ptx/mbarrier.h"
#include "probe.h"

namespace {

using namespace birkhoff::ptx;

template <class F>
double Microseconds(cudaStream_t stream, int times, F body) {
  const auto us = SortedMicroseconds(stream, times, body);
  return us[us.size() / 2];
}

// Microseconds of a replay of what enqueue() captures, the median of fifteen.
template <class F>
double ReplayMicroseconds(cudaStream_t stream, F enqueue) {
  const auto us = SortedReplays(stream, 15, enqueue);
  return us[us.size() / 2];
}

struct Launch {
  cudaLaunchConfig_t config = {};
  cudaLaunchAttribute attributes[2] = {};

  Launch(cudaStream_t stream, int grid, int threads, int shared, int cluster, bool pdl) {
    config.gridDim = dim3(static_cast<unsigned>(grid));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<std::size_t>(shared);
    config.stream = stream;
    config.attrs = attributes;
    if (cluster > 1) {
      attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
      attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    }
    if (pdl) {
      attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
    }
  }
};

__global__ void Empty(bool pdl) {
  if (pdl) {
    WaitForPrevious();
    ReleaseNext();
  }
}

template <class Kernel>
void Allow(Kernel kernel, int shared) {
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
}

void Clusters(cudaStream_t stream) {
  for (const int shared : {100000, 132224, 164096, 173184, 215424, 219264, 228224}) {
    for (const int cluster : {8, 16}) {
      Allow(Empty, shared);
      Launch launch(stream, cluster, 384, shared, cluster, false);
      int active = 0;
      CHECK(cudaOccupancyMaxActiveClusters(&active, Empty, &launch.config));
      std::printf(
          "{\"probe\": \"resident clusters\", \"cluster\": %d, \"shared\": %d, \"clusters\": %d}\n",
          cluster, shared, active);
    }
  }
}

// Microseconds per launch of a graph of `n` empty kernels, each depending on the one before.
void Launches(cudaStream_t stream) {
  constexpr int n = 256;
  struct Shape {
    int grid, threads, shared, cluster;
  };
  for (const Shape s : {Shape{1, 32, 0, 1},
                        {132, 256, 0, 1},
                        {16, 384, 173184, 16},
                        {128, 384, 173184, 16},
                        {128, 384, 173184, 8},
                        {128, 384, 173184, 1}}) {
    for (const bool pdl : {false, true}) {
      Allow(Empty, std::max(s.shared, 1024));
      const double us = ReplayMicroseconds(stream, [&] {
        for (int i = 0; i < n; ++i) {
          Launch launch(stream, s.grid, s.threads, s.shared, s.cluster, pdl);
          CHECK(cudaLaunchKernelEx(&launch.config, Empty, pdl));
        }
      });
      std::printf(
          "{\"probe\": \"empty launch\", \"grid\": %d, \"threads\": %d, \"shared\": %d, "
          "\"cluster\": %d, \"pdl\": %s, \"us\": %.3f}\n",
          s.grid, s.threads, s.shared, s.cluster, pdl ? "true" : "false", us / n);
    }
  }
}

// Rank 0 and rank `peer` of a cluster of 16 send sixteen bytes back and forth.
__global__ void PingPong(int rounds, std::uint32_t peer, long long* cycles) {
  __shared__ alignas(16) uint4 slot;
  __shared__ alignas(8) std::uint64_t barrier;
  const std::uint32_t rank = ClusterRank();
  const std::uint32_t b = SharedAddress(&barrier);
  if (threadIdx.x == 0) {
    InitBarrier(b, 1);
    FenceBarrierInit();
  }
  ClusterSync();
  if (threadIdx.x == 0 && (rank == 0 || rank == peer)) {
    const std::uint32_t other = rank == 0 ? peer : 0;
    const std::uint32_t to = RemoteAddress(SharedAddress(&slot), other);
    const std::uint32_t signal = RemoteAddress(b, other);
    const long long begin = clock64();
    for (int i = 0; i < rounds; ++i) {
      ArriveExpect(b, 16);
      if (rank == 0) StoreAsync(to, uint4{1, 2, 3, 4}, signal);
      WaitBarrier(b, i & 1);
      if (rank != 0) StoreAsync(to, slot, signal);
    }
    if (rank == 0) *cycles = (clock64() - begin) / rounds;
  }
  ClusterSync();
}

void RemoteStores(cudaStream_t stream, double ghz) {
  long long* cycles;
  CHECK(cudaMalloc(&cycles, 8));
  Allow(PingPong, 1024);
  for (const std::uint32_t peer : {1u, 7u, 15u}) {
    Launch launch(stream, 16, 32, 1024, 16, false);
    for (int i = 0; i < 3; ++i)
      CHECK(cudaLaunchKernelEx(&launch.config, PingPong, 2000, peer, cycles));
    long long host = 0;
    CHECK(cudaMemcpyAsync(&host, cycles, 8, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    std::printf(
        "{\"probe\": \"remote store round trip\", \"peer\": %u, \"cycles\": %lld, \"ns\": %.0f}\n",
        peer, host, static_cast<double>(host) / ghz);
  }
}

// What a boundary moves: as many bytes in as out, 64 bytes of a row per four lanes.
__global__ void __launch_bounds__(512) Copy(const uint4* in, uint4* out, std::int64_t n) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < n; i += 4 * stride) {
    uint4 v[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) v[k] = __ldcs(in + i + k * stride);
#pragma unroll
    for (int k = 0; k < 4; ++k) __stcs(out + i + k * stride, v[k]);
  }
  for (; i < n; i += stride) out[i] = in[i];
}

__global__ void __launch_bounds__(512)
    Read(const uint4* in, std::int64_t n, int times, uint4* sink) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  uint4 sum = {};
  for (int t = 0; t < times; ++t) {
    std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i + 7 * stride < n; i += 8 * stride) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const uint4 v = __ldcg(in + i + k * stride);
        sum.x ^= v.x;
        sum.y ^= v.y;
        sum.z ^= v.z;
        sum.w ^= v.w;
      }
    }
  }
  if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678u) *sink = sum;
}

__global__ void Fill(std::uint32_t* p, std::int64_t n) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride)
    p[i] = static_cast<std::uint32_t>(i * 2654435761u);
}

void Bandwidth(cudaStream_t stream, int sms) {
  constexpr std::int64_t bytes = std::int64_t{1} << 31;
  char* in;
  char* out;
  CHECK(cudaMalloc(&in, bytes));
  CHECK(cudaMalloc(&out, bytes));
  Fill<<<sms * 4, 512, 0, stream>>>(reinterpret_cast<std::uint32_t*>(in), bytes / 4);
  const auto* from = reinterpret_cast<const uint4*>(in);
  auto* to = reinterpret_cast<uint4*>(out);
  const double device = Microseconds(
      stream, 9, [&] { CHECK(cudaMemcpyAsync(out, in, bytes, cudaMemcpyDeviceToDevice, stream)); });
  std::printf("{\"probe\": \"copy\", \"how\": \"cudaMemcpy\", \"gbs\": %.0f}\n",
              2.0 * bytes / device / 1e3);
  for (const int grid : {112, 128, sms}) {
    for (const int per_sm : {1, 2, 4}) {
      // Shared memory holds the blocks to the SMs that they are counted for.
      const int shared = 220 * 1024 / per_sm;
      Allow(Copy, shared);
      const double us = Microseconds(
          stream, 9, [&] { Copy<<<grid * per_sm, 512, shared, stream>>>(from, to, bytes / 16); });
      std::printf("{\"probe\": \"copy\", \"sms\": %d, \"threads\": %d, \"gbs\": %.0f}\n", grid,
                  512 * per_sm, 2.0 * bytes / us / 1e3);
    }
  }
  for (const std::int64_t size :
       {std::int64_t{2} << 20, std::int64_t{16} << 20, std::int64_t{40} << 20}) {
    constexpr int times = 64;
    const double us = Microseconds(
        stream, 9, [&] { Read<<<sms * 2, 512, 0, stream>>>(from, size / 16, times, to); });
    std::printf("{\"probe\": \"read from L2\", \"bytes\": %lld, \"gbs\": %.0f}\n",
                static_cast<long long>(size), static_cast<double>(size) * times / us / 1e3);
  }
  CHECK(cudaFree(in));
  CHECK(cudaFree(out));
}

// Each block of a grid loads its slice of a weight into shared memory.
__global__ void LoadSlice(const char* weight, std::uint32_t bytes, int slices) {
  extern __shared__ __align__(128) char shared[];
  __shared__ alignas(8) std::uint64_t barrier;
  const std::uint32_t b = SharedAddress(&barrier);
  if (threadIdx.x == 0) {
    InitBarrier(b, 1);
    FenceBarrierInit();
    ArriveExpect(b, bytes);
    const char* from = weight + static_cast<std::int64_t>(blockIdx.x % slices) * bytes;
    for (std::uint32_t at = 0; at < bytes; at += 12288)
      BulkLoad(SharedAddress(shared) + at, from + at, min(bytes - at, 12288u), b);
  }
  __syncthreads();
  WaitBarrier(b, 0);
}

// Microseconds per launch that loads sixteen slices, each time of other weights: cold as in decode.
void Weights(cudaStream_t stream) {
  constexpr int sites = 128;
  for (const std::uint32_t slice : {98304u, 122880u, 172032u}) {
    char* weights;
    const std::int64_t bytes = std::int64_t{slice} * 16;
    CHECK(cudaMalloc(&weights, static_cast<std::size_t>(bytes * sites)));
    Fill<<<512, 512, 0, stream>>>(reinterpret_cast<std::uint32_t*>(weights), bytes * sites / 4);
    Allow(LoadSlice, static_cast<int>(slice));
    for (const int grid : {16, 64, 128}) {
      const double us = ReplayMicroseconds(stream, [&] {
        for (int i = 0; i < sites; ++i) {
          Launch launch(stream, grid, 128, static_cast<int>(slice), 1, false);
          CHECK(cudaLaunchKernelEx(&launch.config, LoadSlice,
                                   static_cast<const char*>(weights + i * bytes), slice, 16));
        }
      });
      std::printf(
          "{\"probe\": \"weights to shared memory\", \"slice\": %u, \"blocks\": %d, \"us\": "
          "%.2f}\n",
          slice, grid, us / sites);
    }
    CHECK(cudaFree(weights));
  }
}

}  // namespace

int main() {
  cudaDeviceProp p;
  CHECK(cudaGetDeviceProperties(&p, 0));
  int driver = 0;
  int khz = 0;
  CHECK(cudaDriverGetVersion(&driver));
  CHECK(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, 0));
  std::printf(
      "{\"probe\": \"device\", \"name\": \"%s\", \"sms\": %d, \"l2\": %d, \"shared\": %zu, "
      "\"ghz\": %.3f, \"driver\": %d}\n",
      p.name, p.multiProcessorCount, p.l2CacheSize, p.sharedMemPerBlockOptin, khz / 1e6, driver);
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream));
  Clusters(stream);
  Launches(stream);
  RemoteStores(stream, khz / 1e6);
  Weights(stream);
  Bandwidth(stream, p.multiProcessorCount);
  CHECK(cudaDeviceSynchronize());
}
