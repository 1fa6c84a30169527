// Moves between the two members of adjacent lanes (2i, 2i + 1).
#pragma once

#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

#if defined(__AVX512F__)

BK_INLINE F32x16 EvenTwice(F32x16 a) { return {_mm512_moveldup_ps(a.v)}; }
BK_INLINE F32x16 OddTwice(F32x16 a) { return {_mm512_movehdup_ps(a.v)}; }
BK_INLINE F32x16 Swapped(F32x16 a) { return {_mm512_permute_ps(a.v, 0xb1)}; }

#elif defined(__AVX2__)

BK_INLINE F32x16 EvenTwice(F32x16 a) {
  return {_mm256_moveldup_ps(a.lo), _mm256_moveldup_ps(a.hi)};
}
BK_INLINE F32x16 OddTwice(F32x16 a) { return {_mm256_movehdup_ps(a.lo), _mm256_movehdup_ps(a.hi)}; }
BK_INLINE F32x16 Swapped(F32x16 a) {
  return {_mm256_permute_ps(a.lo, 0xb1), _mm256_permute_ps(a.hi, 0xb1)};
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

#endif

}  // namespace birkhoff::cpu::BK_ISA
