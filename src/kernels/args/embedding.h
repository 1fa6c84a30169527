// Token embedding: one row of a table per token.
#pragma once

#include "kernels/args/weight_matrix.h"

namespace birkhoff {

// out[t, :] = table[ids[t], :]
//
// Shapes   T >= 0; ids in [0, table.rows), checked by the caller that accepts requests.
// Numerics exact for a BF16 or F32 table and equal out_type; otherwise one rounding to out_type.
// Aliasing none.
struct EmbeddingArgs {
  const std::int32_t* ids = nullptr;  // [T]
  WeightMatrix table = {};            // [V, d] kF32, kBF16 or kF16
  void* out = nullptr;                // [T, d] out_type
  DType out_type = DType::kBF16;      // kBF16 or kF32
  std::int64_t tokens = 0;            // T
};

}  // namespace birkhoff
