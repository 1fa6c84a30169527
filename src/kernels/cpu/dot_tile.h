// Dot products between two sets of rows, in register tiles: the scores of attention and of the
// indexer.
#pragma once

#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

#if defined(__clang__)
#define BK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BK_UNROLL _Pragma("GCC unroll 16")
#endif

// Both row counts of DotTiles are multiples of this.
constexpr int kTileRows = 4;

BK_INLINE std::int64_t RoundUp(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// A row of dim elements as f32, followed by zeros up to a multiple of 16.
BK_INLINE void WidenRow(const void* base, bool is_bf16, std::int64_t at, std::int64_t dim,
                        float* row) {
  std::int64_t i = 0;
  for (; i + 16 <= dim; i += 16) Store(row + i, LoadAs(base, is_bf16, at + i));
  if (i < dim) Store(row + i, LoadAsN(base, is_bf16, at + i, static_cast<int>(dim - i)));
}

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
  BK_UNROLL
  for (int i = 0; i < kA; ++i) {
    BK_UNROLL
    for (int j = 0; j < kB; ++j) out[i * stride + j] = ReduceAdd(sum[i][j]);
  }
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
