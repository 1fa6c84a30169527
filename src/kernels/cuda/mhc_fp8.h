// h in FP8, for the kernels of class "mhc bf16x2". A lane has eight columns in four words of bf16.
#pragma once

#include "kernels/args/fp8.h"
#include "kernels/cuda/mhc_brick.h"
#include "kernels/cuda/ptx/store.h"

namespace birkhoff::cuda {

// Where h of all tokens goes.
struct HTo {
  std::uint16_t* bf16 = nullptr;  // [T, H], or null
  Fp8Rows fp8 = {};               // with steps
};

// The largest magnitude of eight columns, a NaN left out.
__device__ inline float LargestOf(const uint4& h) {
  unsigned pair = Word(h, 0) & 0x7fff7fffu;
#pragma unroll
  for (int i = 1; i < 4; ++i)
    asm("max.bf16x2 %0, %0, %1;" : "+r"(pair) : "r"(Word(h, i) & 0x7fff7fffu));
  return fmaxf(fmaxf(Low(pair), High(pair)), 0.0f);
}

// Of kLanes lanes, a power of two.
template <int kLanes>
__device__ inline float LargestOf(float largest) {
#pragma unroll
  for (int step = 1; step < kLanes; step *= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
  return largest;
}

// Two columns, the first in the low byte.
__device__ inline unsigned ToE4m3(float low, float high) {
#if __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return fp8::E4m3(low) | static_cast<unsigned>(fp8::E4m3(high)) << 8;
#endif
}

__device__ inline uint2 ToE4m3(const uint4& h, const fp8::Divisor& scale) {
  unsigned pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    pairs[i] = ToE4m3(scale.Divide(Low(Word(h, i))), scale.Divide(High(Word(h, i))));
  return {pairs[0] | pairs[1] << 16, pairs[2] | pairs[3] << 16};
}

// To divide by the scale of a group.
__device__ inline fp8::Divisor DivisorOf(float scale) {
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(scale));
  return fp8::DivisorOf(scale, reciprocal);
}

// Eight columns of a row, from `column` on.
__device__ inline void StoreFp8(std::uint8_t* row, std::int64_t column, std::int64_t hidden,
                                const uint2& q) {
  if (hidden % 8 == 0) {
    if (column < hidden) ptx::Store(row + column, q);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (column + i < hidden)
      row[column + i] = static_cast<std::uint8_t>((i < 4 ? q.x : q.y) >> (i % 4 * 8));
  }
}

// The same of a token's h, by the largest magnitude of its group.
template <int kGroup>
__device__ inline void PutFp8(const Fp8Rows& to, std::int64_t token, std::int64_t column,
                              std::int64_t hidden, const uint4& h, float largest) {
  const float scale = fp8::ScaleOf(largest, to.format);
  StoreFp8(static_cast<std::uint8_t*>(to.data) + token * hidden, column, hidden,
           ToE4m3(h, DivisorOf(scale)));
  if (column % kGroup == 0 && column < hidden) fp8::PutScale(to, token, column / kGroup, scale);
}

// For a warp that has 256 columns of one token, those of lane 0 at a multiple of 256; what is
// beyond the end of the row is 0, or NaN, which counts as little.
template <int kGroup>
__device__ inline void PutFp8(const Fp8Rows& to, std::int64_t token, std::int64_t column,
                              std::int64_t hidden, const uint4& h) {
  PutFp8<kGroup>(to, token, column, hidden, h, LargestOf<kGroup / 8>(LargestOf(h)));
}

}  // namespace birkhoff::cuda
