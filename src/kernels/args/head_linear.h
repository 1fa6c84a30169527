// A linear layer without bias for every head: the up-projections of absorbed latent attention.
#pragma once

#include "kernels/args/weight_matrix.h"

namespace birkhoff {

// out[t, h, n] = sum_k x[t, h, k] * W_h[n, k], or with `transposed` sum_k x[t, h, k] * W_h[k, n]
//
// Shapes   T >= 0, H >= 1, K >= 1; all matrices have one format and shape. kMxfp4 needs a multiple
//          of 32 columns.
// Numerics as in Linear, or transposed: W is dequantised to f32 in the same way; one chain of fused
//          multiply-adds over ascending k from +0; one rounding to out_type. Nothing depends on T
//          or on the row: class "f32x16".
// Aliasing out overlaps no input.
struct HeadLinearArgs {
  const void* x = nullptr;          // [T, H, K] x_type, x_row elements from head to head
  const WeightMatrix* w = nullptr;  // H of [N, K], or of [K, N] with `transposed`
  void* out = nullptr;              // [T, H, N] out_type
  DType x_type = DType::kBF16;      // kBF16 or kF32
  DType out_type = DType::kBF16;    // kBF16 or kF32
  bool transposed = false;
  std::int64_t tokens = 0;  // T
  std::int64_t heads = 0;   // H
  std::int64_t x_row = 0;   // >= K

  [[gnu::always_inline]] std::int64_t k() const { return transposed ? w->rows : w->cols; }
  [[gnu::always_inline]] std::int64_t n() const { return transposed ? w->cols : w->rows; }
};

}  // namespace birkhoff
