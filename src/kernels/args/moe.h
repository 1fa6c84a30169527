// Mixture of experts: who serves a token, and what they answer.
#pragma once

#include <cstdint>
#include <limits>

#include "birkhoff/dtype.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff {

enum class Scoring : std::uint8_t {
  kSqrtSoftplus,  // sqrt(max(z, 0) + log1p(exp(-|z|))): DeepSeek-V4
  kSigmoid,       // 1 / (1 + exp(-z)): DeepSeek-V3
};

// p = scoring(logits),  choice = p + bias
// expert[t] = table ? table[ids[t]] : the k largest choices, descending, ties to the lower expert
// weight[t, i] = (normalise ? p[expert_i] / (sum_i p[expert_i] + 1e-20) : p[expert_i]) * scale
//
// With groups > 1 the experts lie in groups of E / groups neighbours. Only experts of the
// topk_groups best groups are chosen, by the sum of the two largest choices of a group; ties go to
// the lower group.
//
// Shapes   T >= 0, 1 <= k <= E. Exactly one of bias and table is given; a table has one group.
//          groups > 1 divides E into groups of 2 or more; 1 <= topk_groups <= groups and
//          k <= topk_groups E / groups.
// Numerics f32; p is rounded once from double, by the C library's exp and log1p; the sum over
//          slots in slot order. A NaN ranks lowest, of experts and of groups.
// Source   DeepSeek-V3 (groups, "noaux_tc"), DeepSeek-V4.
struct RouteArgs {
  const float* logits = nullptr;        // [T, E]
  const float* bias = nullptr;          // [E], for selection only
  const std::int32_t* table = nullptr;  // [V, k] experts by token id
  const std::int32_t* ids = nullptr;    // [T], read with table
  std::int32_t* expert = nullptr;       // [T, k]
  float* weight = nullptr;              // [T, k]
  std::int64_t tokens = 0;
  std::int64_t experts = 0;  // E
  std::int64_t k = 0;
  float scale = 1;
  Scoring scoring = Scoring::kSqrtSoftplus;
  std::int64_t groups = 1;
  std::int64_t topk_groups = 1;
  bool normalise = true;
};

// h_i = round(swiglu(x w1^T, x w3^T; limit) * weight_i),  out[t] = sum_i h_i w2^T
// over the slots i = 0 ... k - 1 of expert[t], w of that expert; round is to the type of x.
//
// Shapes   w1, w3 [I, d], w2 [d, I] for each of E experts, every matrix in a format of its own;
//          T >= 0.
// Numerics products as in Linear (class "f32x16"); gate, up and swiglu stay f32 up to the product
//          with weight, then one rounding; the sum over slots in slot order in f32. Bits of a token
//          do not depend on the other tokens.
struct ExpertsArgs {
  const void* x = nullptr;               // [T, d] type
  const std::int32_t* expert = nullptr;  // [T, k]
  const float* weight = nullptr;         // [T, k]
  const WeightMatrix* w1 = nullptr;      // [E] of [I, d]: gate
  const WeightMatrix* w3 = nullptr;      // [E] of [I, d]: up
  const WeightMatrix* w2 = nullptr;      // [E] of [d, I]: down
  float* out = nullptr;                  // [T, d]
  DType type = DType::kBF16;             // kBF16 or kF32
  std::int64_t tokens = 0;
  std::int64_t experts = 0;  // E
  std::int64_t k = 0;
  float limit = std::numeric_limits<float>::infinity();

  std::int64_t hidden() const { return w1->cols; }
  std::int64_t width() const { return w1->rows; }
};

}  // namespace birkhoff
