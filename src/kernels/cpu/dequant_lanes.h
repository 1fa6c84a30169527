// Thirty-two weights of a storage format as f32: lane l of `even` is element 2l, of `odd` element
// 2l + 1. The instruction-set part of dequant.h; addresses need no alignment.
//
// LoadE4m3Pairs gives the elements times 2^-8: the f16 whose bits are those of E4M3 moved up. So
// the denormals of E4M3 are normal numbers on every step of the way (a denormal operand costs an
// AVX-512 multiply-add about 40 ns).
// LoadE4m3Pairs2 takes 64 elements, two runs.
// E2m1Table holds what the codes of E2M1 mean, times a scale.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

#if defined(__AVX2__)

BK_INLINE void LoadPackedBf16(const void* p, F32x16* even, F32x16* odd) {
  LoadBf16Pairs(static_cast<const std::uint16_t*>(p), even, odd);
}

#endif

#if defined(__AVX512F__)

BK_INLINE void LoadF32Pairs(const void* p, F32x16* even, F32x16* odd) {
  const __m512 a = _mm512_loadu_ps(p);
  const __m512 b = _mm512_loadu_ps(static_cast<const char*>(p) + 64);
  const __m512i index =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even->v = _mm512_permutex2var_ps(a, index, b);
  odd->v = _mm512_permutex2var_ps(a, _mm512_add_epi32(index, _mm512_set1_epi32(1)), b);
}

BK_INLINE void LoadF16Pairs(const void* p, F32x16* even, F32x16* odd) {
  const __m512i u = _mm512_loadu_si512(p);
  even->v = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(u));
  odd->v = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(u, 16)));
}

// Words with an E4M3 in the upper byte, the lower one 0 -> f16. The shift copies the sign to bit
// 14, which f16 has 0 there; adding 0x80 carries into it for the NaN codes, which need 1.
BK_INLINE __m512i E4m3ToF16(__m512i w) {
  const __m512i h = _mm512_srai_epi16(w, 1);
  const __m512i carried = _mm512_add_epi16(h, _mm512_set1_epi16(0x80));
  return _mm512_ternarylogic_epi32(h, carried, _mm512_set1_epi16(0x4000), 0x78);  // bit ? h ^ c : h
}

BK_INLINE F32x16 WidenF16(__m256i h) { return {_mm512_cvtph_ps(h)}; }

BK_INLINE void LoadE4m3Pairs2(const void* p, F32x16* even, F32x16* odd) {
  const __m512i w = _mm512_loadu_si512(p);
  const __m512i e = E4m3ToF16(_mm512_slli_epi16(w, 8));
  const __m512i o = E4m3ToF16(_mm512_and_si512(w, _mm512_set1_epi16(-0x100)));
  even[0] = WidenF16(_mm512_castsi512_si256(e));
  odd[0] = WidenF16(_mm512_castsi512_si256(o));
  even[1] = WidenF16(_mm512_extracti64x4_epi64(e, 1));
  odd[1] = WidenF16(_mm512_extracti64x4_epi64(o, 1));
}

BK_INLINE void LoadE4m3Pairs(const void* p, F32x16* even, F32x16* odd) {
  const __m512i w = _mm512_castsi256_si512(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  const __m512i o = _mm512_and_si512(w, _mm512_set1_epi16(-0x100));
  *even = WidenF16(_mm512_castsi512_si256(E4m3ToF16(_mm512_slli_epi16(w, 8))));
  *odd = WidenF16(_mm512_castsi512_si256(E4m3ToF16(o)));
}

struct E2m1Table {
  __m512 value;
};

BK_INLINE E2m1Table MakeE2m1Table(float scale) {
  const __m512 unit = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f,
                                     -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f);
  return {_mm512_mul_ps(unit, _mm512_set1_ps(scale))};
}

BK_INLINE void LoadE2m1Pairs(const void* p, const E2m1Table& t, F32x16* even, F32x16* odd) {
  const __m512i u = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  even->v = _mm512_permutexvar_ps(u, t.value);  // the low four bits choose
  odd->v = _mm512_permutexvar_ps(_mm512_srli_epi32(u, 4), t.value);
}

#elif defined(__AVX2__)

template <int kEvenOrOdd>
BK_INLINE __m256 PickPairs(__m256 a, __m256 b) {
  const __m256 picked = _mm256_shuffle_ps(a, b, kEvenOrOdd == 0 ? 0x88 : 0xdd);
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(picked), 0xd8));
}

BK_INLINE void LoadF32Pairs(const void* p, F32x16* even, F32x16* odd) {
  const F32x16 a = Load(static_cast<const float*>(p));
  const F32x16 b = Load(static_cast<const float*>(p) + 16);
  *even = {PickPairs<0>(a.lo, a.hi), PickPairs<0>(b.lo, b.hi)};
  *odd = {PickPairs<1>(a.lo, a.hi), PickPairs<1>(b.lo, b.hi)};
}

// The low halves of eight dwords, widened from f16.
BK_INLINE __m256 WidenLowF16(__m256i u) {
  u = _mm256_and_si256(u, _mm256_set1_epi32(0xffff));
  return _mm256_cvtph_ps(
      _mm_packus_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1)));
}

BK_INLINE void LoadF16Pairs(const void* p, F32x16* even, F32x16* odd) {
  const __m256i a = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  const __m256i b = _mm256_loadu_si256(static_cast<const __m256i*>(p) + 1);
  *even = {WidenLowF16(a), WidenLowF16(b)};
  *odd = {WidenLowF16(_mm256_srli_epi32(a, 16)), WidenLowF16(_mm256_srli_epi32(b, 16))};
}

BK_INLINE F32x16 WidenF16(__m256i h) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(h)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1))};
}

// As in the AVX-512 form.
BK_INLINE __m256i E4m3ToF16(__m256i w) {
  const __m256i h = _mm256_srai_epi16(w, 1);
  const __m256i carried = _mm256_add_epi16(h, _mm256_set1_epi16(0x80));
  return _mm256_xor_si256(h, _mm256_and_si256(carried, _mm256_set1_epi16(0x4000)));
}

BK_INLINE void LoadE4m3Pairs(const void* p, F32x16* even, F32x16* odd) {
  const __m256i w = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  *even = WidenF16(E4m3ToF16(_mm256_slli_epi16(w, 8)));
  *odd = WidenF16(E4m3ToF16(_mm256_and_si256(w, _mm256_set1_epi16(-0x100))));
}

BK_INLINE void LoadE4m3Pairs2(const void* p, F32x16* even, F32x16* odd) {
  LoadE4m3Pairs(p, even, odd);
  LoadE4m3Pairs(static_cast<const char*>(p) + 32, even + 1, odd + 1);
}

struct E2m1Table {
  __m256 magnitude;
};

BK_INLINE E2m1Table MakeE2m1Table(float scale) {
  const __m256 unit = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
  return {_mm256_mul_ps(unit, _mm256_set1_ps(scale))};
}

BK_INLINE __m256 LookUpE2m1(const E2m1Table& t, __m256i code) {
  const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(code, 28), _mm256_set1_epi32(INT32_MIN));
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(t.magnitude, code),  // the low three bits choose
                       _mm256_castsi256_ps(sign));
}

BK_INLINE void LoadE2m1Pairs(const void* p, const E2m1Table& t, F32x16* even, F32x16* odd) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  const __m256i a = _mm256_cvtepu8_epi32(bytes);
  const __m256i b = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
  *even = {LookUpE2m1(t, a), LookUpE2m1(t, b)};
  *odd = {LookUpE2m1(t, _mm256_srli_epi32(a, 4)), LookUpE2m1(t, _mm256_srli_epi32(b, 4))};
}

#else

// Calls f(i) for the elements of a run.
template <class F>
BK_INLINE void FillPairs(F32x16* even, F32x16* odd, F f) {
  for (int l = 0; l < 16; ++l) {
    even->v[l] = f(2 * l);
    odd->v[l] = f(2 * l + 1);
  }
}

template <class T>
BK_INLINE T ElementAt(const void* p, int i) {
  T v;
  std::memcpy(&v, static_cast<const char*>(p) + i * static_cast<int>(sizeof(T)), sizeof(T));
  return v;
}

BK_INLINE float FromBits(std::uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

BK_INLINE float WidenF16(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000) << 16;
  const std::uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00) {  // infinity; NaN is made quiet
    return FromBits(sign | 0x7f800000u | (magnitude > 0x7c00 ? 0x400000u : 0u) |
                    (magnitude & 0x3ffu) << 13);
  }
  if (magnitude < 0x400) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return FromBits(sign | ((magnitude << 13) + (112u << 23)));
}

BK_INLINE void LoadPackedBf16(const void* p, F32x16* even, F32x16* odd) {
  FillPairs(even, odd, [=](int i) { return WidenBf16(ElementAt<std::uint16_t>(p, i)); });
}

BK_INLINE void LoadF32Pairs(const void* p, F32x16* even, F32x16* odd) {
  FillPairs(even, odd, [=](int i) { return ElementAt<float>(p, i); });
}

BK_INLINE void LoadF16Pairs(const void* p, F32x16* even, F32x16* odd) {
  FillPairs(even, odd, [=](int i) { return WidenF16(ElementAt<std::uint16_t>(p, i)); });
}

BK_INLINE void LoadE4m3Pairs(const void* p, F32x16* even, F32x16* odd) {
  FillPairs(even, odd, [=](int i) {
    const unsigned b = ElementAt<std::uint8_t>(p, i);
    const unsigned magnitude = (b & 0x7f) == 0x7f ? 0x7f80u : (b & 0x7f) << 7;
    return WidenF16(static_cast<std::uint16_t>((b & 0x80) << 8 | magnitude));
  });
}

BK_INLINE void LoadE4m3Pairs2(const void* p, F32x16* even, F32x16* odd) {
  LoadE4m3Pairs(p, even, odd);
  LoadE4m3Pairs(static_cast<const char*>(p) + 32, even + 1, odd + 1);
}

struct E2m1Table {
  float scale;
};

BK_INLINE E2m1Table MakeE2m1Table(float scale) { return {scale}; }

BK_INLINE void LoadE2m1Pairs(const void* p, const E2m1Table& t, F32x16* even, F32x16* odd) {
  constexpr float kUnit[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                               -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
  FillPairs(even, odd, [&](int i) {
    const unsigned byte = ElementAt<std::uint8_t>(p, i / 2);
    return kUnit[i % 2 == 0 ? byte & 15 : byte >> 4] * t.scale;
  });
}

#endif

}  // namespace birkhoff::cpu::BK_ISA
