// Linear layer without bias, optionally in groups.
#pragma once

#include "kernels/args/weight_matrix.h"

namespace birkhoff {

// out[m, g, n] = sum_k x[m, g, k] * W[g * N + n, k]
//
// Shapes   w is [G * N, K]; M >= 0, G >= 1, K >= 1. G = 1 is the plain layer, G > 1 the grouped
//          output projection. kMxfp4 needs K % 32 == 0.
// Units    x_row and out_row are elements from one row of x or out to the next; 0: packed.
// Numerics W is dequantised to f32 (exact but for the one product with an F32 scale). Sixteen
//          lanes; in each run of 32 columns lane l takes columns 2l and 2l + 1; one chain of fused
//          multiply-adds per lane in ascending column order from +0; columns beyond K count as
//          products of +0; then the tree of simd.h; one rounding to out_type. Nothing depends on
//          M, on the row, on N or on the thread: class "f32x16".
//          kF8E4M3 x stands for the f32 rows x[m, c] * x_scale[m, c / x_group], c in [0, G K), each
//          product rounded once: the result is theirs, bit for bit.
// Aliasing out overlaps no input.
struct LinearArgs {
  const void* x = nullptr;         // [M, G, K] x_type
  const float* x_scale = nullptr;  // [M, ceil(G K / x_group)], with kF8E4M3
  WeightMatrix w = {};             // [G * N, K]
  void* out = nullptr;             // [M, G, N] out_type
  DType x_type = DType::kBF16;     // kBF16, kF32 or kF8E4M3
  DType out_type = DType::kBF16;   // kBF16 or kF32
  std::int64_t rows = 0;           // M
  std::int64_t groups = 1;         // G
  std::int64_t x_row = 0;
  std::int64_t out_row = 0;
  std::int64_t x_group = 0;  // columns of a scale, with kF8E4M3

  [[gnu::always_inline]] std::int64_t k() const { return w.cols; }
  [[gnu::always_inline]] std::int64_t n() const { return w.rows / groups; }
  [[gnu::always_inline]] std::int64_t x_stride() const { return x_row > 0 ? x_row : groups * k(); }
  [[gnu::always_inline]] std::int64_t out_stride() const { return out_row > 0 ? out_row : w.rows; }
  [[gnu::always_inline]] std::int64_t x_scales() const {  // of a row
    return (groups * k() + x_group - 1) / x_group;
  }
};

}  // namespace birkhoff
