// The smallest model that has every part: window, ratio-4 and ratio-8 layers, hash and top-k
// routing, an MTP block. Extents differ from each other where they may.
#pragma once

#include "models/deepseek_v4/config.h"

namespace birkhoff::models::deepseek_v4 {

inline Config SmallModel() {
  return {.vocab = 40,
          .hidden = 64,
          .layers = 3,
          .mtp_layers = 1,
          .max_positions = 4096,
          .heads = 4,
          .head_dim = 32,
          .rope_dim = 8,
          .q_lora = 48,
          .o_lora = 24,
          .o_groups = 2,
          .window = 16,
          .ratios = {0, 4, 8, 0},
          .index_heads = 3,
          .index_dim = 16,
          .index_topk = 8,
          .experts = 5,
          .experts_per_token = 2,
          .expert_width = 160,
          .hash_layers = 1,
          .routed_scale = 1.5f,
          .swiglu_limit = 10.0f,
          .hc_mult = 2,
          .sinkhorn_iters = 20,
          .hc_eps = 1e-6f,
          .rms_eps = 1e-6f,
          .rope_theta = 10000,
          .compress_rope_theta = 160000,
          .bos = 0,
          .eos = {1}};
}

}  // namespace birkhoff::models::deepseek_v4
