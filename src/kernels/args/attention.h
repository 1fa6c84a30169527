// Attention over a sliding window and compressed history, and the state that it reads.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"
#include "kernels/args/batch.h"

namespace birkhoff {

// Keys visible to the query at position p of a sequence, in this order:
//   compressed entries w < floor((p + 1) / ratio), ascending; where `selected` is given only those;
//   window positions max(0, p - window + 1) ... p, ascending: from `kv` for tokens of this step,
//   else from the ring.
// With s_i = scale q.key_i and M = max(sink, max_i s_i):
//   P_i = exp(s_i - M) / (sum_j exp(s_j - M) + exp(sink - M))
//   out[t, h] = sum_i P_i key_i                                 (a key is also the value)
//
// Shapes   T >= 0; ring capacity >= window + longest rewind; ratio 0: no compressed entries.
// Numerics f32. A dot product: 16 lanes, lane l a chain of fused multiply-adds from +0 over the
//          elements l, l + 16, ..., those beyond D counting as products of +0; then the tree of
//          simd.h; then times scale. With e_i = Exp(s_i - M): num = fma(e_i, key_i, num) per
//          channel and den = den + e_i, both from +0 in the order above; den + Exp(sink - M) last;
//          out = num * (1 / den), one rounding to out_type. M passes over NaNs. Bits depend on the
//          sequence's own tokens and position alone, not on which of them are in this step.
// Order    reads the state before KvWrite of this step; entries closed by tokens of this step must
//          be there already.
struct AttentionArgs {
  const void* q = nullptr;     // [T, H, D] type
  const void* kv = nullptr;    // [T, D] type: this step's window keys
  StateRows window_ring = {};  // [slots, capacity, D] type: position p at row p mod capacity
  StateRows entries = {};  // [slots, capacity, D] type: entry w at row w; null data when ratio is 0
  const std::int32_t* selected =
      nullptr;  // [T, topk] ascending entries, the first min(topk, visible) of a row; or null
  const float* sink = nullptr;  // [H]
  void* out = nullptr;          // [T, H, D] out_type
  SequenceBatch batch = {};
  DType type = DType::kBF16;     // kBF16 or kF32
  DType out_type = DType::kF32;  // kBF16 or kF32
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t window = 0;
  std::int64_t ratio = 0;
  std::int64_t topk = 0;         // 0 without `selected`
  std::int64_t max_entries = 0;  // upper bound of visible entries, for scratch
  float scale = 1;
};

// ring[slot, p mod capacity] = kv[t] for the last min(count, capacity) tokens of each sequence of
// the step. Exact.
struct KvWriteArgs {
  const void* kv = nullptr;  // [T, D] type
  StateRows ring = {};       // [slots, capacity, D] type
  SequenceBatch batch = {};
  DType type = DType::kBF16;
  std::int64_t width = 0;  // D
};

// The KV compressor. With z[t] = g[t] + ape[p mod ratio] for the token at position p, entry w pools
//   plain (ratio != 4):   tokens w r ... w r + r - 1, all channels;
//   overlap (ratio == 4): tokens w r - r ... w r - 1 with channels [0, D), but for w = 0, and
//                         tokens w r ... w r + r - 1 with channels [D, 2 D).
// v = sum_s softmax_s(z_s) k_s per channel
// entry = rope(rms(v; norm), position w r), which turns the last 2 P channels
//
// Shapes   c = 2 with overlap, else 1; ring capacity >= c * ratio + longest rewind.
// Numerics f32. z is rounded once, in a step as in the ring. With e_s = Exp(z_s - max z):
//          num = fma(e_s, k_s, num), den = den + e_s, from +0 in ascending token order; v = num /
//          den; rms as in RmsNorm, (v * rs) * norm; angle as in RopeTable at position w r, rotation
//          as in Rope; one rounding to type. Bits do not depend on how tokens are split into steps.
// Order    every entry whose last token is in this step is written; then k and z of the last tokens
//          of each sequence go to the rings, from which the next step takes what it needs of this
//          one.
struct CompressArgs {
  const float* k = nullptr;           // [T, c D]
  const float* g = nullptr;           // [T, c D]
  const float* ape = nullptr;         // [ratio, c D]
  const float* norm = nullptr;        // [D]
  const double* frequency = nullptr;  // [P]
  StateRows k_ring = {};              // [slots, capacity, c D] f32
  StateRows z_ring = {};              // [slots, capacity, c D] f32
  StateRows entries = {};             // [slots, capacity, D] type
  SequenceBatch batch = {};
  DType type = DType::kBF16;  // kBF16 or kF32, of the entries
  std::int64_t tokens = 0;
  std::int64_t dim = 0;  // D
  std::int64_t ratio = 0;
  bool overlap = false;
  std::int64_t pairs = 0;  // P
  bool precise = false;
  float eps = 1e-6f;
};

// score(t, w) = sum_h weight[t, h] * scale * relu(q[t, h] . keys[w]) for w < floor((p + 1) / ratio)
// selected[t] = the min(topk, visible) entries of highest score, ties to the lower entry, ascending
//
// Numerics f32. Dot products as in Attention; the sum over heads is one chain in head order from
//          +0: fma(weight * scale, relu(dot), sum). -0 equals +0, NaN ranks lowest. Rows with no
//          more than topk visible entries select all of them without scoring.
struct IndexTopkArgs {
  const void* q = nullptr;           // [T, Hi, Di] type
  const float* weight = nullptr;     // [T, Hi]
  StateRows keys = {};               // [slots, capacity, Di] type
  std::int32_t* selected = nullptr;  // [T, topk]; entries beyond min(topk, visible) are not written
  SequenceBatch batch = {};
  DType type = DType::kBF16;  // kBF16 or kF32
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t ratio = 0;
  std::int64_t topk = 0;
  std::int64_t max_entries = 0;  // upper bound of visible entries, for scratch
  float scale = 1;
};

}  // namespace birkhoff
