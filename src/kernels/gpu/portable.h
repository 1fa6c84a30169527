// The words of CUDA and HIP that portable kernels use.
#pragma once

#include <cstdint>

#if defined(__HIP_PLATFORM_AMD__)
#include <hip/hip_bf16.h>
#include <hip/hip_runtime.h>
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

#include "birkhoff/dtype.h"

namespace birkhoff::gpu {

#if defined(__HIP_PLATFORM_AMD__)
using Stream = hipStream_t;
__device__ inline float ShuffleXor(float v, int lanes) { return __shfl_xor(v, lanes); }
#else
using Stream = cudaStream_t;
__device__ inline float ShuffleXor(float v, int lanes) {
  return __shfl_xor_sync(0xffffffffu, v, lanes);
}
#endif

// Every kernel of this folder: 256 threads a block, tokens never on y or z.
constexpr int kThreads = 256;

// Blocks for one thread per item; kernels loop over what is left.
inline dim3 Blocks(std::int64_t items) {
  constexpr std::int64_t kMost = 1 << 20;
  const std::int64_t blocks = (items + kThreads - 1) / kThreads;
  return dim3(static_cast<unsigned>(blocks < kMost ? blocks : kMost));
}

__device__ inline std::int64_t FirstItem() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ inline std::int64_t ItemStride() {
  return static_cast<std::int64_t>(gridDim.x) * kThreads;
}

// Activations by their storage type: float, or bf16 as its sixteen bits.
__device__ inline float Widen(float x) { return x; }
__device__ inline float Widen(std::uint16_t x) {
  return __uint_as_float(static_cast<std::uint32_t>(x) << 16);
}
__device__ inline void Narrow(float x, float* to) { *to = x; }
// Nearest even, NaN kept and made quiet.
__device__ inline void Narrow(float x, std::uint16_t* to) {
  const std::uint32_t u = __float_as_uint(x);
  *to = static_cast<std::uint16_t>(x != x ? u >> 16 | 0x40u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

// Two bf16 in a word, the first in its low half: as Narrow(), in one instruction where there is
// one. A NaN becomes some quiet NaN.
__device__ inline std::uint32_t Pack(float first, float second) {
  const auto pair = __float22bfloat162_rn(make_float2(first, second));
  static_assert(sizeof(pair) == sizeof(std::uint32_t));
  std::uint32_t word;
  memcpy(&word, &pair, sizeof(word));
  return word;
}

}  // namespace birkhoff::gpu
