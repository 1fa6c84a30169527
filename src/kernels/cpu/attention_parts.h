// The second half of attention: sums of values by the weights that the softmax gave, and their
// way out.
#pragma once

#include "kernels/cpu/runs.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

// Sums that fill the registers: rows of AddValues, and runs of 16 channels.
#if defined(__AVX512F__)
constexpr int kSumRows = 4;
constexpr int kSumRuns = 4;
#else
constexpr int kSumRows = 2;
constexpr int kSumRuns = 2;
#endif

// Rows of f32, `row` elements from one to the next.
struct FloatRows {
  const float* data = nullptr;
  std::int64_t row = 0;
};

// AddValues for kRuns runs of 16 channels.
template <int kRows, int kRuns>
BK_INLINE void WeightedSum(FloatRows weights, FloatRows values, std::int64_t n, float* sums,
                           std::int64_t sums_row) {
  F32x16 v[kRows][kRuns];
  BK_UNROLL
  for (int i = 0; i < kRows; ++i) {
    BK_UNROLL
    for (int c = 0; c < kRuns; ++c) v[i][c] = Load(sums + i * sums_row + 16 * c);
  }
  for (std::int64_t k = 0; k < n; ++k) {
    F32x16 x[kRuns];
    BK_UNROLL
    for (int c = 0; c < kRuns; ++c) x[c] = Load(values.data + k * values.row + 16 * c);
    BK_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const F32x16 e = Set(weights.data[k * weights.row + i]);
      BK_UNROLL
      for (int c = 0; c < kRuns; ++c) v[i][c] = Fma(e, x[c], v[i][c]);
    }
  }
  BK_UNROLL
  for (int i = 0; i < kRows; ++i) {
    BK_UNROLL
    for (int c = 0; c < kRuns; ++c) Store(sums + i * sums_row + 16 * c, v[i][c]);
  }
}

// sums[i, c] += sum over k in [0, n), ascending, of weights[k, i] * values[k, c] for i in [0,
// kRows) and c in [0, dim), a multiple of 16.
template <int kRows>
BK_INLINE void AddValues(FloatRows weights, FloatRows values, std::int64_t n, std::int64_t dim,
                         float* sums, std::int64_t sums_row) {
  std::int64_t c = 0;
  for (; c + 16 * kSumRuns <= dim; c += 16 * kSumRuns)
    WeightedSum<kRows, kSumRuns>(weights, {values.data + c, values.row}, n, sums + c, sums_row);
  for (; c < dim; c += 16)
    WeightedSum<kRows, 1>(weights, {values.data + c, values.row}, n, sums + c, sums_row);
}

// out[at + i] = sums[i] * factor for i in [0, dim); sums has the rest of the last run too.
BK_INLINE void WriteSums(const float* sums, float factor, std::int64_t dim, void* out, DType type,
                         std::int64_t at) {
  const F32x16 f = Set(factor);
  ForRuns(dim,
          [&](std::int64_t i, int n) { StoreRun(out, type, at + i, Mul(Load(sums + i), f), n); });
}

}  // namespace birkhoff::cpu::BK_ISA
