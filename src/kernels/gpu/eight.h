// Eight elements of bf16 or f32 at a time, 16 bytes to a load or store.
#pragma once

#include "kernels/gpu/portable.h"

namespace birkhoff::gpu {

// Eight neighbours, and as they lie in memory: sixteen bytes of bf16, or twice sixteen of f32.
struct Eight {
  float v[8];
};

struct Raw {
  uint4 low;
  uint4 high;

  __device__ Eight Widened(bool is_bf16) const {
    if (!is_bf16)
      return {{__uint_as_float(low.x), __uint_as_float(low.y), __uint_as_float(low.z),
               __uint_as_float(low.w), __uint_as_float(high.x), __uint_as_float(high.y),
               __uint_as_float(high.z), __uint_as_float(high.w)}};
    constexpr std::uint32_t kSecond = 0xffff0000u;
    return {{__uint_as_float(low.x << 16), __uint_as_float(low.x & kSecond),
             __uint_as_float(low.y << 16), __uint_as_float(low.y & kSecond),
             __uint_as_float(low.z << 16), __uint_as_float(low.z & kSecond),
             __uint_as_float(low.w << 16), __uint_as_float(low.w & kSecond)}};
  }
};

__device__ inline Raw ReadRaw(const void* p, bool is_bf16, std::int64_t at) {
  Raw raw = {};
  if (is_bf16) {
    raw.low = *reinterpret_cast<const uint4*>(static_cast<const std::uint16_t*>(p) + at);
  } else {
    const auto* words = reinterpret_cast<const uint4*>(static_cast<const float*>(p) + at);
    raw.low = words[0];
    raw.high = words[1];
  }
  return raw;
}

__device__ inline Eight ReadEight(const void* p, bool is_bf16, std::int64_t at) {
  return ReadRaw(p, is_bf16, at).Widened(is_bf16);
}
__device__ inline float ReadOne(const void* p, bool is_bf16, std::int64_t at) {
  return is_bf16 ? Widen(static_cast<const std::uint16_t*>(p)[at])
                 : static_cast<const float*>(p)[at];
}

__device__ inline void WriteEight(void* p, bool is_bf16, std::int64_t at, const Eight& e) {
  const float* v = e.v;
  if (is_bf16) {
    *reinterpret_cast<uint4*>(static_cast<std::uint16_t*>(p) + at) =
        make_uint4(Pack(v[0], v[1]), Pack(v[2], v[3]), Pack(v[4], v[5]), Pack(v[6], v[7]));
  } else {
    auto* to = reinterpret_cast<float4*>(static_cast<float*>(p) + at);
    to[0] = make_float4(v[0], v[1], v[2], v[3]);
    to[1] = make_float4(v[4], v[5], v[6], v[7]);
  }
}
__device__ inline void WriteOne(void* p, bool is_bf16, std::int64_t at, float v) {
  if (is_bf16) {
    Narrow(v, static_cast<std::uint16_t*>(p) + at);
  } else {
    Narrow(v, static_cast<float*>(p) + at);
  }
}

}  // namespace birkhoff::gpu
