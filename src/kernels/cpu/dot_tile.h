// Dot products between two sets of rows, in register tiles: the scores of attention and of the
// indexer.
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

// Both row counts of DotTiles are multiples of this.
constexpr int kTileRows = 4;

// A row of dim elements as f32, followed by zeros up to a multiple of 16.
BK_INLINE void WidenRow(const void* base, bool is_bf16, std::int64_t at, std::int64_t dim,
                        float* row) {
  std::int64_t i = 0;
  if (is_bf16) {
    const auto* from = static_cast<const std::uint16_t*>(base) + at;
    for (; i + 16 <= dim; i += 16) Store(row + i, LoadBf16(from + i));
  } else {
    const float* from = static_cast<const float*>(base) + at;
    for (; i + 16 <= dim; i += 16) Store(row + i, Load(from + i));
  }
  if (i < dim) Store(row + i, LoadAsN(base, is_bf16, at + i, static_cast<int>(dim - i)));
}

// out[i * stride + j] = ReduceAdd(sum[i][j]).
template <int kA, int kB>
BK_INLINE void ReduceTile(const F32x16 (&sum)[kA][kB], float* out, std::int64_t stride) {
  BK_UNROLL
  for (int i = 0; i < kA; ++i) {
    BK_UNROLL
    for (int j = 0; j < kB; ++j) out[i * stride + j] = ReduceAdd(sum[i][j]);
  }
}

#if defined(__AVX512F__)
// Sixteen sums at once: the additions of ReduceAdd, each for as many sums as a register has room
// for. 45 instructions in place of 16 x 7.
BK_INLINE void ReduceTile(const F32x16 (&sum)[4][4], float* out, std::int64_t stride) {
  const auto halves = [](F32x16 a, F32x16 b) {  // lanes l + 8: [a, b], eight lanes each
    return _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44),
                         _mm512_shuffle_f32x4(a.v, b.v, 0xee));
  };
  __m512 column[4];  // lanes l + 4: [sum[0][j], sum[1][j], sum[2][j], sum[3][j]], four lanes each
  BK_UNROLL
  for (int j = 0; j < 4; ++j) {
    const __m512 a = halves(sum[0][j], sum[1][j]);
    const __m512 b = halves(sum[2][j], sum[3][j]);
    column[j] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  }
  const auto quarters = [](__m512 a, __m512 b) {  // lanes l + 2
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
  };
  const __m512 a = quarters(column[0], column[1]);
  const __m512 b = quarters(column[2], column[3]);
  const __m512 rows = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88),  // lanes l + 1
                                    _mm512_shuffle_ps(a, b, 0xdd));
  _mm_storeu_ps(out, _mm512_castps512_ps128(rows));
  _mm_storeu_ps(out + stride, _mm512_extractf32x4_ps(rows, 1));
  _mm_storeu_ps(out + 2 * stride, _mm512_extractf32x4_ps(rows, 2));
  _mm_storeu_ps(out + 3 * stride, _mm512_extractf32x4_ps(rows, 3));
}
#endif

// out[i * stride + j] = a_i . b_j for i in [0, kA), j in [0, kB); rows of `dim` elements, a
// multiple of 16. Lane l is one chain of fused multiply-adds over elements l, l + 16, ...; then the
// tree of ReduceAdd.
template <int kA, int kB>
BK_INLINE void DotTile(const float* a, const float* b, std::int64_t dim, float* out,
                       std::int64_t stride) {
  F32x16 sum[kA][kB];
  BK_UNROLL
  for (int i = 0; i < kA; ++i) {
    BK_UNROLL
    for (int j = 0; j < kB; ++j) sum[i][j] = Zero();
  }
  for (std::int64_t d = 0; d < dim; d += 16) {
    F32x16 x[kA];
    BK_UNROLL
    for (int i = 0; i < kA; ++i) x[i] = Load(a + i * dim + d);
    BK_UNROLL
    for (int j = 0; j < kB; ++j) {
      const F32x16 y = Load(b + j * dim + d);
      BK_UNROLL
      for (int i = 0; i < kA; ++i) sum[i][j] = Fma(x[i], y, sum[i][j]);
    }
  }
  ReduceTile(sum, out, stride);
}

// The same for any multiples of kTileRows. Sixteen sums fill the registers of AVX-512 best; AVX2
// has room for four.
BK_INLINE void DotTiles(const float* a, std::int64_t na, const float* b, std::int64_t nb,
                        std::int64_t dim, float* out, std::int64_t stride) {
#if defined(__AVX512F__)
  constexpr int kSide = 4;
#else
  constexpr int kSide = 2;
#endif
  for (std::int64_t j = 0; j < nb; j += kSide) {
    for (std::int64_t i = 0; i < na; i += kSide)
      DotTile<kSide, kSide>(a + i * dim, b + j * dim, dim, out + i * stride + j, stride);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
