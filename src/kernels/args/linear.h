// Linear layer without bias, optionally in groups.
#pragma once

#include "kernels/args/weight_matrix.h"

namespace birkhoff {

// out[m, g, n] = sum_k x[m, g, k] * W[g * N + n, k]
//
// Shapes   w is [G * N, K]; M >= 0, G >= 1, K >= 1. G = 1 is the plain layer, G > 1 the grouped
//          output projection. kMxfp4 needs K % 32 == 0.
// Numerics W is dequantised to f32 (exact but for the one product with an F32 scale). Sixteen
//          lanes; in each run of 32 columns lane l takes columns 2l and 2l + 1; one chain of fused
//          multiply-adds per lane in ascending column order from +0; columns beyond K count as
//          products of +0; then the tree of simd.h; one rounding to out_type. Nothing depends on
//          M, on the row, on N or on the thread: class "f32x16".
// Aliasing out overlaps no input.
struct LinearArgs {
  const void* x = nullptr;        // [M, G, K] x_type
  WeightMatrix w = {};            // [G * N, K]
  void* out = nullptr;            // [M, G, N] out_type
  DType x_type = DType::kBF16;    // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  std::int64_t rows = 0;          // M
  std::int64_t groups = 1;        // G

  std::int64_t k() const { return w.cols; }
  std::int64_t n() const { return w.rows / groups; }
};

}  // namespace birkhoff
