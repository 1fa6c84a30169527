// Moves between the two members of adjacent lanes (2i, 2i + 1), and pairs over two registers:
// SplitPairs takes the first and the second members of the sixteen pairs in low and high;
// FirstPairs gives a0 b0 a1 b1 ... a7 b7, LastPairs the other half.
#pragma once

#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

#if defined(__AVX512F__)

BK_INLINE F32x16 EvenTwice(F32x16 a) { return {_mm512_moveldup_ps(a.v)}; }
BK_INLINE F32x16 OddTwice(F32x16 a) { return {_mm512_movehdup_ps(a.v)}; }
BK_INLINE F32x16 Swapped(F32x16 a) { return {_mm512_permute_ps(a.v, 0xb1)}; }
BK_INLINE F32x16 FirstPairs(F32x16 a, F32x16 b) {
  const __m512i index = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return {_mm512_permutex2var_ps(a.v, index, b.v)};
}
BK_INLINE F32x16 LastPairs(F32x16 a, F32x16 b) {
  const __m512i index =
      _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return {_mm512_permutex2var_ps(a.v, index, b.v)};
}
BK_INLINE void SplitPairs(F32x16 low, F32x16 high, F32x16* first, F32x16* second) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  *first = {_mm512_permutex2var_ps(low.v, even, high.v)};
  *second = {_mm512_permutex2var_ps(low.v, odd, high.v)};
}

#elif defined(__AVX2__)

BK_INLINE F32x16 EvenTwice(F32x16 a) {
  return {_mm256_moveldup_ps(a.lo), _mm256_moveldup_ps(a.hi)};
}
BK_INLINE F32x16 OddTwice(F32x16 a) { return {_mm256_movehdup_ps(a.lo), _mm256_movehdup_ps(a.hi)}; }
BK_INLINE F32x16 Swapped(F32x16 a) {
  return {_mm256_permute_ps(a.lo, 0xb1), _mm256_permute_ps(a.hi, 0xb1)};
}
BK_INLINE F32x16 PairsOfHalves(__m256 a, __m256 b) {
  const __m256 low = _mm256_unpacklo_ps(a, b);  // pairs 0, 1, 4, 5
  const __m256 high = _mm256_unpackhi_ps(a, b);
  return {_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31)};
}
BK_INLINE F32x16 FirstPairs(F32x16 a, F32x16 b) { return PairsOfHalves(a.lo, b.lo); }
BK_INLINE F32x16 LastPairs(F32x16 a, F32x16 b) { return PairsOfHalves(a.hi, b.hi); }
// The pieces of a shuffle of 128-bit halves, in order.
BK_INLINE __m256 InOrder(__m256 shuffled) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(shuffled), 0xd8));
}
BK_INLINE void SplitPairs(F32x16 low, F32x16 high, F32x16* first, F32x16* second) {
  *first = {InOrder(_mm256_shuffle_ps(low.lo, low.hi, 0x88)),
            InOrder(_mm256_shuffle_ps(high.lo, high.hi, 0x88))};
  *second = {InOrder(_mm256_shuffle_ps(low.lo, low.hi, 0xdd)),
             InOrder(_mm256_shuffle_ps(high.lo, high.hi, 0xdd))};
}

#else

BK_INLINE F32x16 EvenTwice(F32x16 a) {
  return PerLane([&](int i) { return a.v[i & ~1]; });
}
BK_INLINE F32x16 OddTwice(F32x16 a) {
  return PerLane([&](int i) { return a.v[i | 1]; });
}
BK_INLINE F32x16 Swapped(F32x16 a) {
  return PerLane([&](int i) { return a.v[i ^ 1]; });
}
BK_INLINE F32x16 FirstPairs(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return (i % 2 == 0 ? a : b).v[i / 2]; });
}
BK_INLINE F32x16 LastPairs(F32x16 a, F32x16 b) {
  return PerLane([&](int i) { return (i % 2 == 0 ? a : b).v[8 + i / 2]; });
}
BK_INLINE void SplitPairs(F32x16 low, F32x16 high, F32x16* first, F32x16* second) {
  *first = PerLane([&](int i) { return i < 8 ? low.v[2 * i] : high.v[2 * i - 16]; });
  *second = PerLane([&](int i) { return i < 8 ? low.v[2 * i + 1] : high.v[2 * i - 15]; });
}

#endif

}  // namespace birkhoff::cpu::BK_ISA
