// Full causal attention in which groups of query heads share a key head.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"
#include "kernels/args/batch.h"

namespace birkhoff {

// The query at position p of a sequence sees its positions 0 ... p. Head h reads key head
// g = floor(h G / H). With s_i = scale q[t, h] . keys[i, g] and M = max_i s_i:
//   P_i = exp(s_i - M) / sum_j exp(s_j - M)
//   out[t, h] = sum_i P_i values[i, g]
// In the latent form a value is the first Dv channels of its key.
//
// Shapes   T >= 0, H % G == 0; capacity > every p. The latent form needs Dv <= D.
// Numerics f32. A score is a dot product of 16 lanes, lane l a chain of fused multiply-adds from +0
//          over the elements l, l + 16, ..., those beyond D counting as products of +0; then the
//          tree of simd.h; then times scale. Keys are taken in ascending order, in blocks of 32
//          positions that begin at 0. M, which starts at the lowest finite number and passes over
//          NaNs, first rises to the largest score of the block that the query sees; where it rises
//          from M' num and den are multiplied by Exp(M' - M). Then e_i = Exp(s_i - M), num =
//          fma(e_i, value_i, num) per channel and den = den + e_i, both from +0 at position 0;
//          out = num * (1 / den), one rounding to out_type. Bits depend on the sequence's own
//          tokens and position alone, not on which of them are in this step.
// Order    reads the state after KvWrite of this step.
// Source   the running maximum is that of online softmax (Milakov and Gimelshein 2018).
struct GqaAttentionArgs {
  const void* q = nullptr;  // [T, H, D] type
  StateRows keys = {};      // [slots, capacity, G D] type: position p at row p
  StateRows values = {};    // [slots, capacity, G Dv] type; null data: the latent form
  void* out = nullptr;      // [T, H, Dv] out_type
  SequenceBatch batch = {};
  DType type = DType::kBF16;      // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  std::int64_t tokens = 0;        // T
  std::int64_t heads = 0;         // H
  std::int64_t key_heads = 1;     // G
  std::int64_t dim = 0;           // D
  std::int64_t value_dim = 0;     // Dv
  float scale = 1;
};

}  // namespace birkhoff
