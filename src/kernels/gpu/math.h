// Functions with the bits of cpu/simd.h: the same IEEE operations in the same order.
#pragma once

#include "kernels/gpu/portable.h"

namespace birkhoff::gpu {

// a > b ? a : b, so the second operand where either is NaN.
__device__ inline float Larger(float a, float b) { return a > b ? a : b; }
__device__ inline float Smaller(float a, float b) { return a < b ? a : b; }

// 2^n for integral n in [-126, 127]; NaN stays NaN.
__device__ inline float Pow2(float n) {
  return n != n ? n : __uint_as_float(static_cast<std::uint32_t>(static_cast<int>(n) + 127) << 23);
}

// e^x, see cpu/simd.h.
__device__ inline float Exp(float x) {
  x = Larger(-104.0f, Smaller(89.0f, x));
  const float n = rintf(__fmul_rn(x, 1.44269504088896341f));
  float r = __fmaf_rn(n, -0.693359375f, x);
  r = __fmaf_rn(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = __fmaf_rn(p, r, 1.3981999507e-3f);
  p = __fmaf_rn(p, r, 8.3334519073e-3f);
  p = __fmaf_rn(p, r, 4.1665795894e-2f);
  p = __fmaf_rn(p, r, 1.6666665459e-1f);
  p = __fmaf_rn(p, r, 5.0000001201e-1f);
  p = __fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.0f);
  const float half = rintf(__fmul_rn(n, 0.5f));
  return __fmul_rn(__fmul_rn(p, Pow2(half)), Pow2(__fsub_rn(n, half)));
}

__device__ inline float Sigmoid(float x) {
  return __fdiv_rn(1.0f, __fadd_rn(1.0f, Exp(__fsub_rn(0.0f, x))));
}

}  // namespace birkhoff::gpu
