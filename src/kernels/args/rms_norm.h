// Root-mean-square normalisation of rows.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"

namespace birkhoff {

// out[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight
//
// Shapes   rows >= 0, width >= 1. A per-head norm is rows = T * heads, width = head_dim.
// Numerics f32 throughout, one rounding to out_type. The sum of squares: 16 lanes, lane l a chain
//          of fused multiply-adds over the elements l, l + 16, ..., then the tree of simd.h.
//          rs = 1 / sqrt(sum / width + eps) by IEEE square root and division; out = (x * rs) *
//          weight.
// Aliasing out may be x when the types are equal and its rows are packed.
// Source   DeepSeek-V4 inference code; rounding order OP-2 of docs/numerics.md.
struct RmsNormArgs {
  const void* x = nullptr;        // [rows, width] x_type, rows x_row apart
  const float* weight = nullptr;  // [width], or null: weightless
  void* out = nullptr;            // [rows, width] out_type
  DType x_type = DType::kBF16;    // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  std::int64_t rows = 0;
  std::int64_t width = 0;
  float eps = 0;
  std::int64_t x_row = 0;  // elements from one row of x to the next; 0: width

  [[gnu::always_inline]] std::int64_t x_step() const { return x_row == 0 ? width : x_row; }
};

// Two norms of as many rows, usually of two column slices of one projection, in one launch. Each
// side has the contract and the bits of RmsNorm.
//
// Shapes   first.rows == second.rows. Aliasing none.
struct DualRmsNormArgs {
  RmsNormArgs first = {};
  RmsNormArgs second = {};
};

// The norm of rows of `type` where they are. Inlined always: CPU kernels of every instruction set
// call it, and the linker would keep one copy for all machines.
[[gnu::always_inline]] inline RmsNormArgs NormInPlace(void* rows, const float* weight, DType type,
                                                      std::int64_t count, std::int64_t width,
                                                      float eps) {
  return {rows, weight, rows, type, type, count, width, eps, width};
}

}  // namespace birkhoff
