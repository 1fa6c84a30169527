// The FP8 quantiser, for the CPU and for GPUs: include/birkhoff/ops/fp8.h says what it computes.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "birkhoff/ops/fp8.h"

#if defined(__CUDACC__) || defined(__HIPCC__)
#define BK_FP8 __host__ __device__ inline
#else
// Inlined always: CPU kernels of every instruction set have it, and the linker would keep one copy
// for all machines.
#define BK_FP8 [[gnu::always_inline]] inline
#endif

namespace birkhoff::fp8 {

constexpr float kLargest = 448.0f;
constexpr std::uint32_t kInfinity = 0x7f800000u;  // of f32

BK_FP8 std::uint32_t BitsOf(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits;
}
BK_FP8 float FloatOf(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// max(largest, |x|), a NaN left out.
BK_FP8 float Larger(float largest, float x) {
  const float magnitude = FloatOf(BitsOf(x) & 0x7fffffffu);
  return magnitude > largest ? magnitude : largest;
}

// The scale of a group whose largest magnitude is `largest`. The quotient by a product and one
// correction, without the branches of a division, is the same for every f32 from the least floor
// on (tests/kernels/fp8_test.cc).
BK_FP8 float ScaleOf(float largest, const Fp8Format& format) {
  constexpr float kReciprocal = 1.0f / kLargest;
  const float a = largest > format.floor ? largest : format.floor;
  const float q = a * kReciprocal;
  const float corrected = fmaf(fmaf(-q, kLargest, a), kReciprocal, q);
  const float s = BitsOf(a) == kInfinity ? a : corrected;
  return format.scale == Fp8Scale::kF32 ? s : FloatOf((BitsOf(s) + 0x7fffffu) & 0x7f800000u);
}

// The E4M3 nearest to x, even where two are; beyond the largest, that one.
BK_FP8 std::uint8_t E4m3(float x) {
  const std::uint32_t sign = BitsOf(x) >> 24 & 0x80u;
  const float magnitude = FloatOf(BitsOf(x) & 0x7fffffffu);
  if (magnitude != magnitude) return 0x7f;
  const float clamped = magnitude < kLargest ? magnitude : kLargest;
  // Below 2^-6 a step is 2^-9, which is that of f32 from 2^14 on: the sum rounds there.
  const std::uint32_t denormal = BitsOf(clamped + 16384.0f) - BitsOf(16384.0f);
  // Else three of the 23 bits behind the point stay.
  const std::uint32_t bits = BitsOf(clamped);
  const std::uint32_t normal = ((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - (120u << 3);
  return static_cast<std::uint8_t>(sign | (clamped < 0.015625f ? denormal : normal));
}

// x / scale as far as E4m3() can tell, without the branches of a division: x is a bf16 of at most
// the magnitude that the scale was made of. A product and one correction; that no byte is another
// is proven over all such x (tests/kernels/fp8_test.cc). By an infinite scale: 0, or NaN of
// infinity.
struct Divisor {
  float scale;       // 0 if infinite, so that a correction changes nothing
  float reciprocal;  // within one ulp

  BK_FP8 float Divide(float x) const {
    const float q = x * reciprocal;
    const float corrected = fmaf(fmaf(-q, scale, x), reciprocal, q);
    return FloatOf(BitsOf(corrected) | (BitsOf(x) & 0x80000000u));  // of -0 too
  }
};
BK_FP8 Divisor DivisorOf(float scale, float reciprocal) {
  return {BitsOf(scale) == kInfinity ? 0.0f : scale, reciprocal};
}

// Groups of a row.
BK_FP8 std::int64_t GroupsOf(const Fp8Format& format, std::int64_t hidden) {
  return (hidden + format.group - 1) / format.group;
}

// The rows with the steps of their scales set.
BK_FP8 Fp8Rows WithSteps(Fp8Rows to, std::int64_t hidden) {
  if (to.format.group == 0 || to.scale_row != 0 || to.scale_group != 0) return to;
  to.scale_row = GroupsOf(to.format, hidden);
  to.scale_group = 1;
  return to;
}

// Writes the scale of a group. The steps are set.
BK_FP8 void PutScale(const Fp8Rows& to, std::int64_t row, std::int64_t group, float scale) {
  const std::int64_t at = row * to.scale_row + group * to.scale_group;
  if (to.format.scale == Fp8Scale::kE8M0) {
    static_cast<std::uint8_t*>(to.scale)[at] = static_cast<std::uint8_t>(BitsOf(scale) >> 23);
  } else {
    static_cast<float*>(to.scale)[at] = scale;
  }
}

}  // namespace birkhoff::fp8
