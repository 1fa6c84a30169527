// A 16 x 16 block of f32 turned over.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

// to[j * stride + i] = from[i * 16 + j].
#if defined(__AVX512F__)

BK_INLINE void Transpose16(const float* from, float* to, std::int64_t stride) {
  for (int j = 0; j < 16; j += 4) {
    // Quarter q of row[k] holds columns [j, j + 4) of row 4 q + k: four 4 x 4 blocks side by side.
    __m512 row[4];
    BK_UNROLL
    for (int k = 0; k < 4; ++k) {
      const float* p = from + k * 16 + j;
      row[k] = _mm512_castps128_ps512(_mm_loadu_ps(p));
      row[k] = _mm512_insertf32x4(row[k], _mm_loadu_ps(p + 64), 1);
      row[k] = _mm512_insertf32x4(row[k], _mm_loadu_ps(p + 128), 2);
      row[k] = _mm512_insertf32x4(row[k], _mm_loadu_ps(p + 192), 3);
    }
    const __m512 a = _mm512_unpacklo_ps(row[0], row[2]);
    const __m512 b = _mm512_unpackhi_ps(row[0], row[2]);
    const __m512 c = _mm512_unpacklo_ps(row[1], row[3]);
    const __m512 d = _mm512_unpackhi_ps(row[1], row[3]);
    _mm512_storeu_ps(to + j * stride, _mm512_unpacklo_ps(a, c));
    _mm512_storeu_ps(to + (j + 1) * stride, _mm512_unpackhi_ps(a, c));
    _mm512_storeu_ps(to + (j + 2) * stride, _mm512_unpacklo_ps(b, d));
    _mm512_storeu_ps(to + (j + 3) * stride, _mm512_unpackhi_ps(b, d));
  }
}

#elif defined(__AVX2__)

BK_INLINE void Transpose16(const float* from, float* to, std::int64_t stride) {
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 16; j += 4) {
      __m256 row[4];  // half h of row[k]: columns [j, j + 4) of row i + 4 h + k
      BK_UNROLL
      for (int k = 0; k < 4; ++k) {
        const float* p = from + (i + k) * 16 + j;
        row[k] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 64), 1);
      }
      const __m256 a = _mm256_unpacklo_ps(row[0], row[2]);
      const __m256 b = _mm256_unpackhi_ps(row[0], row[2]);
      const __m256 c = _mm256_unpacklo_ps(row[1], row[3]);
      const __m256 d = _mm256_unpackhi_ps(row[1], row[3]);
      _mm256_storeu_ps(to + j * stride + i, _mm256_unpacklo_ps(a, c));
      _mm256_storeu_ps(to + (j + 1) * stride + i, _mm256_unpackhi_ps(a, c));
      _mm256_storeu_ps(to + (j + 2) * stride + i, _mm256_unpacklo_ps(b, d));
      _mm256_storeu_ps(to + (j + 3) * stride + i, _mm256_unpackhi_ps(b, d));
    }
  }
}

#else

BK_INLINE void Transpose16(const float* from, float* to, std::int64_t stride) {
  for (int j = 0; j < 16; ++j) {
    for (int i = 0; i < 16; ++i) to[j * stride + i] = from[i * 16 + j];
  }
}

#endif

}  // namespace birkhoff::cpu::BK_ISA
