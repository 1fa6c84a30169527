// From the sums of a token to its coefficients, in class "mhc bf16x2": the same instructions in
// every kernel of the class.
#pragma once

#include "kernels/args/mhc.h"
#include "kernels/cuda/mhc_brick.h"
#include "kernels/cuda/ptx/store.h"

namespace birkhoff::cuda {

// Within one ulp for x and 1 / x that are normal; beyond, 0 or infinity. A Newton step, and the
// five operations with which the compiler scales numbers that are not normal, would be what every
// step of Sinkhorn waits for.
__device__ inline float Reciprocal(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// e^x for x in [-87, 88], which what is beyond counts as; within 3 ulp. The product with 1 / ln 2
// in two parts keeps the error from growing with x. Adding 1.5 * 2^23 rounds to an integer and has
// it in the low bits: the instructions for either take eight times as long.
__device__ inline float Exp(float x) {
  constexpr float kRound = 12582912.0f;
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;  // NaN stays
  const float shifted = __fadd_rn(__fmul_rn(x, 1.44269504f), kRound);
  const float n = __fsub_rn(shifted, kRound);
  float r = __fmaf_rn(x, 1.44269502f, -n);
  r = __fmaf_rn(x, 1.92596303e-8f, r);
  float p;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(p) : "f"(r));
  return __fmul_rn(p, __int_as_float((__float_as_int(shifted) << 23) + 0x3f800000));
}

__device__ inline float Sigmoid(float z) {
  const float s = Reciprocal(__fadd_rn(1.0f, Exp(-z)));
  return z < -88.0f ? 0.0f : s;
}

// The sum of value v of a token over the slices: a balanced tree. load(slice).
template <class Load>
__device__ inline float OverSlices(Load load) {
  float s[kSlices];
#pragma unroll
  for (int i = 0; i < kSlices; ++i) s[i] = load(i);
#pragma unroll
  for (int step = 1; step < kSlices; step *= 2) {
#pragma unroll
    for (int i = 0; i < kSlices; i += 2 * step) s[i] = __fadd_rn(s[i], s[i + step]);
  }
  return s[0];
}

// The same for two values at once: lane l has slice l % 16 of value l / 16, and gets its sum.
__device__ inline float OverSlicesByLanes(float s) {
#pragma unroll
  for (int step = 1; step < kSlices; step *= 2)
    s = __fadd_rn(s, __shfl_xor_sync(0xffffffffu, s, step));
  return s;
}

// 1 / sqrt(mean square + eps) from the squares of the streams and 1 / (hc H); an overflowed sum
// gives 0.
template <int hc>
__device__ inline float InverseRms(const float (&square)[hc], float of_streams, float eps) {
  float s[hc];
#pragma unroll
  for (int j = 0; j < hc; ++j) s[j] = square[j];
#pragma unroll
  for (int step = 1; step < hc; step *= 2) {
#pragma unroll
    for (int j = 0; j < hc; j += 2 * step) s[j] = __fadd_rn(s[j], s[j + step]);
  }
  return __frsqrt_rn(__fmaf_rn(s[0], of_streams, eps));
}

__device__ inline float Logit(float sum, float rs, float scale, float base) {
  return __fmaf_rn(__fmul_rn(sum, rs), scale, base);
}

// sum_c v_c^2 from the products of four streams: q = pre' G pre. False where the streams cancel so
// far that this says too little (docs/numerics.md); then v itself must be summed.
__device__ inline bool SquareOfSum(const float (&p)[4], const float (&g)[10], float& q) {
  const auto row = [&](float a, float b, float c, float d) {
    return __fmaf_rn(p[3], d, __fmaf_rn(p[2], c, __fmaf_rn(p[1], b, __fmul_rn(p[0], a))));
  };
  q = row(row(g[0], g[1], g[2], g[3]), row(g[1], g[4], g[5], g[6]), row(g[2], g[5], g[7], g[8]),
          row(g[3], g[6], g[8], g[9]));
  const float apart = row(__fmul_rn(p[0], g[0]), __fmul_rn(p[1], g[4]), __fmul_rn(p[2], g[7]),
                          __fmul_rn(p[3], g[9]));
  return q >= __fmul_rn(apart, 0.0625f);
}

// of_row: 1 / H.
__device__ inline float NormScale(float square, float of_row, float eps) {
  return __frsqrt_rn(__fmaf_rn(square, of_row, eps));
}

// comb of one token, aligned to 16 bytes, from its logits, in scaling-vector form: M stays, u and v
// scale its rows and columns; d and e are what they divide by.
template <int hc>
__device__ inline void Sinkhorn(const float* logits, float eps, int iterations, float* comb) {
  float m[hc * hc], u[hc], v[hc], d[hc], e[hc];
#pragma unroll
  for (int i = 0; i < hc * hc; ++i) m[i] = logits[i];
#pragma unroll
  for (int i = 0; i < hc; ++i) {
    float largest = m[i * hc];
#pragma unroll
    for (int j = 1; j < hc; ++j) largest = fmaxf(largest, m[i * hc + j]);
    float total = 0;
#pragma unroll
    for (int j = 0; j < hc; ++j) {
      m[i * hc + j] = Exp(__fsub_rn(m[i * hc + j], largest));
      total = __fadd_rn(total, m[i * hc + j]);
    }
    const float r = Reciprocal(total);
#pragma unroll
    for (int j = 0; j < hc; ++j) m[i * hc + j] = __fmaf_rn(m[i * hc + j], r, eps);
    u[i] = v[i] = d[i] = e[i] = 1;
  }
  // Two chains of half the length, added: the latency of a step is what this costs.
#pragma unroll 1
  for (int step = 0; step < iterations; ++step) {
    if (step > 0) {
#pragma unroll
      for (int i = 0; i < hc; ++i) {
        float low = __fmul_rn(eps, d[i]);
        float high = __fmul_rn(m[i * hc + hc / 2], v[hc / 2]);
#pragma unroll
        for (int j = 0; j < hc / 2; ++j) low = __fmaf_rn(m[i * hc + j], v[j], low);
#pragma unroll
        for (int j = hc / 2 + 1; j < hc; ++j) high = __fmaf_rn(m[i * hc + j], v[j], high);
        d[i] = __fadd_rn(low, high);
        u[i] = Reciprocal(d[i]);
      }
    }
#pragma unroll
    for (int j = 0; j < hc; ++j) {
      float low = __fmul_rn(eps, e[j]);
      float high = __fmul_rn(m[hc / 2 * hc + j], u[hc / 2]);
#pragma unroll
      for (int i = 0; i < hc / 2; ++i) low = __fmaf_rn(m[i * hc + j], u[i], low);
#pragma unroll
      for (int i = hc / 2 + 1; i < hc; ++i) high = __fmaf_rn(m[i * hc + j], u[i], high);
      e[j] = __fadd_rn(low, high);
      v[j] = Reciprocal(e[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < hc; ++i) {
#pragma unroll
    for (int j = 0; j < hc; ++j) m[i * hc + j] = __fmul_rn(__fmul_rn(u[i], m[i * hc + j]), v[j]);
  }
#pragma unroll
  for (int i = 0; i < hc * hc; i += 4)
    ptx::Store(comb + i, {__float_as_uint(m[i]), __float_as_uint(m[i + 1]),
                          __float_as_uint(m[i + 2]), __float_as_uint(m[i + 3])});
}

}  // namespace birkhoff::cuda
