// Two groups of eight lanes side by side: the unit of the mHC projection, in which each group
// belongs to one token.
#pragma once

#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

#if defined(__AVX512F__)

BK_INLINE F32x16 LoadEight(const float* a, const float* b) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1)};
}
BK_INLINE F32x16 LoadEight(const std::uint16_t* a, const std::uint16_t* b) {
  const __m256i both = _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)), 1);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(both), 16))};
}
BK_INLINE F32x16 EightTwice(const float* p) { return {_mm512_broadcast_f32x8(_mm256_loadu_ps(p))}; }
// ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) of each group.
BK_INLINE void ReduceEight(F32x16 a, float* first, float* second) {
  const __m512 d = _mm512_add_ps(a.v, _mm512_permute_ps(a.v, 0xb1));
  const __m512 q = _mm512_add_ps(d, _mm512_permute_ps(d, 0x4e));
  const __m512 e = _mm512_add_ps(q, _mm512_shuffle_f32x4(q, q, 0xb1));
  *first = _mm512_cvtss_f32(e);
  *second = _mm_cvtss_f32(_mm512_extractf32x4_ps(e, 2));
}

#elif defined(__AVX2__)

BK_INLINE F32x16 LoadEight(const float* a, const float* b) {
  return {_mm256_loadu_ps(a), _mm256_loadu_ps(b)};
}
BK_INLINE F32x16 LoadEight(const std::uint16_t* a, const std::uint16_t* b) {
  return {WidenBf16(a), WidenBf16(b)};
}
BK_INLINE F32x16 EightTwice(const float* p) {
  const __m256 v = _mm256_loadu_ps(p);
  return {v, v};
}
BK_INLINE float ReduceHalf(__m256 a) {
  const __m256 d = _mm256_add_ps(a, _mm256_permute_ps(a, 0xb1));
  const __m256 q = _mm256_add_ps(d, _mm256_permute_ps(d, 0x4e));
  return _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(q), _mm256_extractf128_ps(q, 1)));
}
BK_INLINE void ReduceEight(F32x16 a, float* first, float* second) {
  *first = ReduceHalf(a.lo);
  *second = ReduceHalf(a.hi);
}

#else

BK_INLINE F32x16 LoadEight(const float* a, const float* b) {
  return PerLane([=](int i) { return i < 8 ? a[i] : b[i - 8]; });
}
BK_INLINE F32x16 LoadEight(const std::uint16_t* a, const std::uint16_t* b) {
  return PerLane([=](int i) { return WidenBf16(i < 8 ? a[i] : b[i - 8]); });
}
BK_INLINE F32x16 EightTwice(const float* p) { return LoadEight(p, p); }
BK_INLINE float ReduceHalf(const float* a) {
  return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}
BK_INLINE void ReduceEight(F32x16 a, float* first, float* second) {
  *first = ReduceHalf(a.v);
  *second = ReduceHalf(a.v + 8);
}

#endif

// The first n of eight, n in [1, 8]; the other lanes are +0.
template <class Element>
BK_INLINE F32x16 LoadEightN(const Element* a, const Element* b, int n) {
  Element first[8] = {};
  Element second[8] = {};
  for (int i = 0; i < n; ++i) {
    first[i] = a[i];
    second[i] = b[i];
  }
  return LoadEight(first, second);
}

}  // namespace birkhoff::cpu::BK_ISA
