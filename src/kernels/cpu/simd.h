// Sixteen f32 lanes: the unit in which every CPU kernel is written and in which its bits are
// defined.
//
// AVX-512 holds them in one register, AVX2 in two, the generic form in an array. Every operation is
// an IEEE operation per lane and every reduction is the same tree, so the three builds of a kernel
// give the same bits. Each source of this folder is compiled once per instruction set with BK_ISA
// naming its namespace; such a source includes nothing that could emit shared inline code compiled
// for the wrong machine: no standard containers, algorithms or strings.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef BK_ISA
#error "compile through bk_cpu_kernels(), which sets BK_ISA"
#endif

namespace birkhoff::cpu::BK_ISA {

#define BK_INLINE [[gnu::always_inline]] inline

BK_INLINE std::int64_t CeilDiv(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
BK_INLINE std::int64_t RoundUp(std::int64_t n, std::int64_t to) { return CeilDiv(n, to) * to; }
BK_INLINE std::int64_t Least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

#if defined(__AVX512F__)

struct F32x16 {
  __m512 v;
};

BK_INLINE F32x16 Zero() { return {_mm512_setzero_ps()}; }
BK_INLINE F32x16 Set(float x) { return {_mm512_set1_ps(x)}; }
BK_INLINE F32x16 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
BK_INLINE void Store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
BK_INLINE F32x16 Add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
BK_INLINE F32x16 Sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
BK_INLINE F32x16 Mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
BK_INLINE F32x16 Div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
BK_INLINE F32x16 Sqrt(F32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
// a * b + c, rounded once.
BK_INLINE F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// a > b ? a : b, so the second operand where either is NaN.
BK_INLINE F32x16 Max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
BK_INLINE F32x16 Min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
// Nearest integer, ties to even.
BK_INLINE F32x16 Round(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for integral n in [-126, 127].
BK_INLINE F32x16 Pow2(F32x16 n) {
  return {_mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}
// Sixteen bf16 -> f32.
BK_INLINE F32x16 LoadBf16(const std::uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
}
// f32 -> bf16, nearest even, NaN kept and made quiet. Not the AVX512-BF16 conversion: that flushes
// denormals.
BK_INLINE void StoreBf16(std::uint16_t* p, F32x16 a) {
  const __m512i u = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(nan, rounded, quiet)));
}
// Thirty-two bf16: lane l of `even` is element 2l, of `odd` element 2l + 1.
BK_INLINE void LoadBf16Pairs(const std::uint16_t* p, F32x16* even, F32x16* odd) {
  const __m512i u = _mm512_loadu_si512(p);
  even->v = _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
  odd->v =
      _mm512_castsi512_ps(_mm512_and_si512(u, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}
// Lanes l + 8, then l + 4, l + 2, l + 1 are added to lane l.
BK_INLINE float ReduceAdd(F32x16 a) {
  const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_shuffle_ps(d, d, 1)));
}

#elif defined(__AVX2__)

struct F32x16 {
  __m256 lo, hi;
};

BK_INLINE F32x16 Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
BK_INLINE F32x16 Set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
BK_INLINE F32x16 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
BK_INLINE void Store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
BK_INLINE F32x16 Add(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Sub(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Mul(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Div(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Sqrt(F32x16 a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
BK_INLINE F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
BK_INLINE F32x16 Max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
BK_INLINE F32x16 Round(F32x16 a) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kNearest), _mm256_round_ps(a.hi, kNearest)};
}
BK_INLINE __m256 Pow2Half(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
BK_INLINE F32x16 Pow2(F32x16 n) { return {Pow2Half(n.lo), Pow2Half(n.hi)}; }
BK_INLINE __m256 WidenBf16(const std::uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
}
BK_INLINE F32x16 LoadBf16(const std::uint16_t* p) { return {WidenBf16(p), WidenBf16(p + 8)}; }
BK_INLINE __m256i RoundBf16(__m256 a) {
  const __m256i u = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
BK_INLINE void StoreBf16(std::uint16_t* p, F32x16 a) {
  const __m256i packed =
      _mm256_packus_epi32(RoundBf16(a.lo), RoundBf16(a.hi));  // interleaves 128-bit halves
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
BK_INLINE void LoadBf16Pairs(const std::uint16_t* p, F32x16* even, F32x16* odd) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16));
  *even = {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
           _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
  *odd = {_mm256_castsi256_ps(_mm256_and_si256(a, mask)),
          _mm256_castsi256_ps(_mm256_and_si256(b, mask))};
}
BK_INLINE float ReduceAdd(F32x16 a) {
  const __m256 h = _mm256_add_ps(a.lo, a.hi);
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_shuffle_ps(d, d, 1)));
}

#else

struct F32x16 {
  float v[16];
};

template <class F>
BK_INLINE F32x16 PerLane(F f) {
  F32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = f(i);
  return r;
}
BK_INLINE float WidenBf16(std::uint16_t b) {
  const std::uint32_t u = static_cast<std::uint32_t>(b) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}
BK_INLINE std::uint16_t RoundBf16(float f) {
  std::uint32_t u;
  std::memcpy(&u, &f, 4);
  if (f != f) return static_cast<std::uint16_t>((u >> 16) | 0x40u);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

BK_INLINE F32x16 Set(float x) {
  return PerLane([=](int) { return x; });
}
BK_INLINE F32x16 Zero() { return Set(0.0f); }
BK_INLINE F32x16 Load(const float* p) {
  return PerLane([=](int i) { return p[i]; });
}
BK_INLINE void Store(float* p, F32x16 a) { std::memcpy(p, a.v, sizeof(a.v)); }
BK_INLINE F32x16 Add(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] + b.v[i]; });
}
BK_INLINE F32x16 Sub(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] - b.v[i]; });
}
BK_INLINE F32x16 Mul(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] * b.v[i]; });
}
BK_INLINE F32x16 Div(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] / b.v[i]; });
}
BK_INLINE F32x16 Sqrt(F32x16 a) {
  return PerLane([&](int i) { return std::sqrt(a.v[i]); });
}
BK_INLINE F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return PerLane([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
BK_INLINE F32x16 Max(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
BK_INLINE F32x16 Min(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
BK_INLINE F32x16 Round(F32x16 a) {
  return PerLane([&](int i) { return std::nearbyint(a.v[i]); });
}
BK_INLINE F32x16 Pow2(F32x16 n) {
  return PerLane([&](int i) {
    if (n.v[i] != n.v[i]) return n.v[i];
    const std::uint32_t u = static_cast<std::uint32_t>(static_cast<int>(n.v[i]) + 127) << 23;
    float f;
    std::memcpy(&f, &u, 4);
    return f;
  });
}
BK_INLINE F32x16 LoadBf16(const std::uint16_t* p) {
  return PerLane([=](int i) { return WidenBf16(p[i]); });
}
BK_INLINE void StoreBf16(std::uint16_t* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = RoundBf16(a.v[i]);
}
BK_INLINE void LoadBf16Pairs(const std::uint16_t* p, F32x16* even, F32x16* odd) {
  *even = PerLane([=](int i) { return WidenBf16(p[2 * i]); });
  *odd = PerLane([=](int i) { return WidenBf16(p[2 * i + 1]); });
}
BK_INLINE float ReduceAdd(F32x16 a) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
  }
  return a.v[0];
}

#endif

// The first n lanes, n in [0, 16]; the others are +0.
BK_INLINE F32x16 LoadN(const float* p, int n) {
  float t[16] = {};
  for (int i = 0; i < n; ++i) t[i] = p[i];
  return Load(t);
}
BK_INLINE void StoreN(float* p, F32x16 a, int n) {
  float t[16];
  Store(t, a);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}
BK_INLINE F32x16 LoadBf16N(const std::uint16_t* p, int n) {
  std::uint16_t t[16] = {};
  for (int i = 0; i < n; ++i) t[i] = p[i];
  return LoadBf16(t);
}
BK_INLINE void StoreBf16N(std::uint16_t* p, F32x16 a, int n) {
  std::uint16_t t[16];
  StoreBf16(t, a);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}

// e^x within 1 ulp where the result is normal; +inf above 88.72, +0 below -103.97, NaN stays NaN.
// Own evaluation because libm differs between systems: x = n ln 2 + r with ln 2 in two parts, a
// degree-6 polynomial in r (coefficients of Cephes expf, S. Moshier), and 2^n applied in two halves
// so that denormal results come out right.
BK_INLINE F32x16 Exp(F32x16 x) {
  x = Max(Set(-104.0f), Min(Set(89.0f), x));
  const F32x16 n = Round(Mul(x, Set(1.44269504088896341f)));
  F32x16 r = Fma(n, Set(-0.693359375f), x);
  r = Fma(n, Set(2.12194440e-4f), r);
  F32x16 p = Set(1.9875691500e-4f);
  p = Fma(p, r, Set(1.3981999507e-3f));
  p = Fma(p, r, Set(8.3334519073e-3f));
  p = Fma(p, r, Set(4.1665795894e-2f));
  p = Fma(p, r, Set(1.6666665459e-1f));
  p = Fma(p, r, Set(5.0000001201e-1f));
  p = Add(Fma(p, Mul(r, r), r), Set(1.0f));  // the other order of the sum costs half an ulp
  const F32x16 half = Round(Mul(n, Set(0.5f)));
  return Mul(Mul(p, Pow2(half)), Pow2(Sub(n, half)));
}

// 1 / (1 + e^-x): exactly 0 and 1 at -inf and +inf.
BK_INLINE F32x16 Sigmoid(F32x16 x) { return Div(Set(1.0f), Add(Set(1.0f), Exp(Sub(Zero(), x)))); }

// Sixteen activations from element i of an array of bf16 or f32.
BK_INLINE F32x16 LoadAs(const void* base, bool is_bf16, std::int64_t i) {
  return is_bf16 ? LoadBf16(static_cast<const std::uint16_t*>(base) + i)
                 : Load(static_cast<const float*>(base) + i);
}
BK_INLINE F32x16 LoadAsN(const void* base, bool is_bf16, std::int64_t i, int n) {
  return is_bf16 ? LoadBf16N(static_cast<const std::uint16_t*>(base) + i, n)
                 : LoadN(static_cast<const float*>(base) + i, n);
}
BK_INLINE void StoreAs(void* base, bool is_bf16, std::int64_t i, F32x16 a) {
  if (is_bf16) {
    StoreBf16(static_cast<std::uint16_t*>(base) + i, a);
  } else {
    Store(static_cast<float*>(base) + i, a);
  }
}
BK_INLINE void StoreAsN(void* base, bool is_bf16, std::int64_t i, F32x16 a, int n) {
  if (is_bf16) {
    StoreBf16N(static_cast<std::uint16_t*>(base) + i, a, n);
  } else {
    StoreN(static_cast<float*>(base) + i, a, n);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
