// What the calls of a builder take and give where it is more than a value.
#pragma once

#include <cstdint>

#include "birkhoff/ops/fp8.h"
#include "graph/graph.h"

namespace birkhoff::graph {

// One hyper-connection site.
struct MhcParameters {
  Value fn = {};     // [hc (hc + 2), hc H]; of the head [hc, hc H]
  Value base = {};   // [hc (hc + 2)];       of the head [hc]
  Value scale = {};  // [3];                 of the head [1]
};

struct MhcConstants {
  std::int64_t iterations = 20;
  double rms_eps = 1e-6;
  double pre_eps = 1e-6;
  double sinkhorn_eps = 1e-6;
  double post_mult = 2;
};

struct MhcCoefficients {
  Value pre = {};   // f32 [T, hc]
  Value post = {};  // f32 [T, hc]
  Value comb = {};  // f32 [T, hc, hc]
};

struct MhcBoundaryResult {
  Value streams = {};
  MhcCoefficients next = {};
  Value h = {};
};

struct AttentionOperands {
  Value q = {};         // [T, H, D]
  Value kv = {};        // [T, D]
  Value window = {};    // ring before this step's KvWrite
  Value sink = {};      // [H]
  Value entries = {};   // optional: compressed entries, after this step's Compress
  Value selected = {};  // optional, with entries: i32 [T, k]
};

struct AttentionConstants {
  std::int64_t window = 0;
  std::int64_t ratio = 0;  // 0: no entries
  std::int64_t max_entries = 0;
  double scale = 1;
};

struct GqaConstants {
  std::int64_t key_heads = 1;
  std::int64_t value_dim = 0;
  double scale = 1;
};

// Of Qwen3's attention: q and k normed and turned, k and v in their rings.
struct NormRopeWriteOperands {
  Value q = {};         // [T, H, D] or [T, H D]
  Value k = {};         // [T, Hk, D] or [T, Hk D]
  Value v = {};         // [T, Hk D]
  Value table = {};     // [T, P, 2]
  Value q_weight = {};  // [D]
  Value k_weight = {};  // [D]
  Value keys = {};      // [slots, capacity, Hk D]
  Value values = {};    // [slots, capacity, Hk D]
};

struct NormRopeWriteResult {
  Value q = {};
  Value keys = {};
  Value values = {};
};

struct CompressorState {
  Value k_ring = {};
  Value z_ring = {};
  Value entries = {};
};

struct CompressOperands {
  Value k = {};          // f32 [T, c D]
  Value g = {};          // f32 [T, c D]
  Value ape = {};        // [ratio, c D]
  Value norm = {};       // [D]
  Value frequency = {};  // [P]
  CompressorState state = {};
};

struct IndexConstants {
  std::int64_t ratio = 0;
  std::int64_t topk = 0;
  std::int64_t max_entries = 0;
  double scale = 1;
};

struct Fp8Kind {
  std::int64_t group = 128;  // columns of a scale; 0: the whole row
  Fp8Scale scale = Fp8Scale::kF32;
  double floor = kFp8GroupFloor;
};

struct Quantised {
  Value q = {};      // f8e4m3 [T, K]
  Value scale = {};  // f32 or f8e8m0 [T, ceil(K / group)]
};

struct NormQuantised {
  Value out = {};
  Quantised fp8 = {};
};

struct Routed {
  Value expert = {};  // i32 [T, k]
  Value weight = {};  // f32 [T, k]
};

// DeepSeek-V3's routing; one group is Kimi-K2's.
struct SigmoidRouting {
  std::int64_t k = 0;
  std::int64_t groups = 1;
  std::int64_t topk_groups = 1;
  bool normalise = true;
  double scale = 1;
};

}  // namespace birkhoff::graph
