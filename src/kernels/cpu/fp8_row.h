// A row of bf16 or f32 to FP8.
#pragma once

#include <cstdint>

#include "kernels/args/fp8.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu::BK_ISA {

// fp8::E4m3 of sixteen lanes.
#if defined(__AVX512F__)

BK_INLINE void StoreE4m3(std::uint8_t* p, F32x16 a) {
  const __m512i u = _mm512_castps_si512(a.v);
  const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(u, 24), _mm512_set1_epi32(0x80));
  const __m512 magnitude = _mm512_castsi512_ps(_mm512_and_si512(u, _mm512_set1_epi32(0x7fffffff)));
  const __m512 clamped = _mm512_min_ps(magnitude, _mm512_set1_ps(fp8::kLargest));
  const __m512 shift = _mm512_set1_ps(16384.0f);
  const __m512i denormal = _mm512_sub_epi32(_mm512_castps_si512(_mm512_add_ps(clamped, shift)),
                                            _mm512_castps_si512(shift));
  const __m512i bits = _mm512_castps_si512(clamped);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7ffff)));
  const __m512i normal =
      _mm512_sub_epi32(_mm512_srli_epi32(rounded, 20), _mm512_set1_epi32(120 << 3));
  const __mmask16 low = _mm512_cmp_ps_mask(clamped, _mm512_set1_ps(0.015625f), _CMP_LT_OQ);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  const __m512i code = _mm512_or_si512(_mm512_mask_blend_epi32(low, normal, denormal), sign);
  const __m512i all = _mm512_mask_blend_epi32(nan, code, _mm512_set1_epi32(0x7f));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(all));
}

#elif defined(__AVX2__)

BK_INLINE __m256i E4m3Half(__m256 a) {
  const __m256i u = _mm256_castps_si256(a);
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(u, 24), _mm256_set1_epi32(0x80));
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_and_si256(u, _mm256_set1_epi32(0x7fffffff)));
  const __m256 clamped = _mm256_min_ps(magnitude, _mm256_set1_ps(fp8::kLargest));
  const __m256 shift = _mm256_set1_ps(16384.0f);
  const __m256i denormal = _mm256_sub_epi32(_mm256_castps_si256(_mm256_add_ps(clamped, shift)),
                                            _mm256_castps_si256(shift));
  const __m256i bits = _mm256_castps_si256(clamped);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7ffff)));
  const __m256i normal =
      _mm256_sub_epi32(_mm256_srli_epi32(rounded, 20), _mm256_set1_epi32(120 << 3));
  const __m256 low = _mm256_cmp_ps(clamped, _mm256_set1_ps(0.015625f), _CMP_LT_OQ);
  const __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  const __m256i code =
      _mm256_or_si256(_mm256_blendv_epi8(normal, denormal, _mm256_castps_si256(low)), sign);
  return _mm256_blendv_epi8(code, _mm256_set1_epi32(0x7f), _mm256_castps_si256(nan));
}
BK_INLINE void StoreE4m3(std::uint8_t* p, F32x16 a) {
  const __m256i words = _mm256_permute4x64_epi64(
      _mm256_packus_epi32(E4m3Half(a.lo), E4m3Half(a.hi)), 0xd8);  // the pack mixes halves
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

#else

BK_INLINE void StoreE4m3(std::uint8_t* p, F32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = fp8::E4m3(a.v[i]);
}

#endif

// The largest magnitude of a group, a NaN left out.
BK_INLINE float LargestOf(const void* x, DType type, std::int64_t begin, std::int64_t count) {
  F32x16 most = Zero();
  ForRuns(count, [&](std::int64_t i, int n) {
    const F32x16 v = LoadRun(x, type, begin + i, n);
    most = Max(Max(v, Sub(Zero(), v)), most);  // a NaN stands first, so it is not taken
  });
  float lanes[16];
  Store(lanes, most);
  float largest = 0;
  for (const float lane : lanes) largest = fp8::Larger(largest, lane);
  return largest;
}

// Row `row` of `to`, whose steps are set, from the `width` elements of x from `from` on.
inline void Fp8Row(const void* x, DType type, std::int64_t from, std::int64_t width,
                   const Fp8Rows& to, std::int64_t row) {
  auto* out = static_cast<std::uint8_t*>(to.data) + row * width;
  const std::int64_t group = to.format.group;
  for (std::int64_t begin = 0; begin < width; begin += group) {
    const std::int64_t count = Least(group, width - begin);
    const float scale = fp8::ScaleOf(LargestOf(x, type, from + begin, count), to.format);
    const F32x16 divisor = Set(scale);
    ForRuns(count, [&](std::int64_t i, int n) {
      const F32x16 v = Div(LoadRun(x, type, from + begin + i, n), divisor);
      if (n == 16) {
        StoreE4m3(out + begin + i, v);
      } else {
        std::uint8_t run[16];
        StoreE4m3(run, v);
        std::memcpy(out + begin + i, run, static_cast<std::size_t>(n));
      }
    });
    fp8::PutScale(to, row, begin / group, scale);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
