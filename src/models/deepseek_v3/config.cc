#include "models/deepseek_v3/config.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/strict_json.h"
#include "models/json_fields.h"

namespace birkhoff::models::deepseek_v3 {
namespace {

void Invalid(JsonFields& f, std::string message) {
  f.Fail(StatusCode::kInvalidArgument, std::move(message));
}

// What the formulas of this architecture take for granted.
void CheckSupported(JsonFields& f) {
  f.Only({"hidden_act"}, "silu");
  f.Only({"attention_bias"}, false);
  f.Only({"tie_word_embeddings"}, false);
  f.Only({"rope_interleave"}, true);
  if (!f.Has("q_lora_rank")) {
    f.Fail(StatusCode::kUnsupported,
           "'q_lora_rank' is null: a query that is projected in one step is not supported");
  }
}

void ReadAttention(JsonFields& f, Config& c) {
  c.heads = f.Int({"num_attention_heads"}, 1, kMaxCount);
  f.Only({"num_key_value_heads"}, c.heads);
  c.q_lora = f.Int({"q_lora_rank"}, 1, kMaxExtent);
  c.kv_lora = f.Int({"kv_lora_rank"}, 1, kMaxExtent);
  c.nope_dim = f.Int({"qk_nope_head_dim"}, 1, kMaxExtent);
  c.rope_dim = f.Int({"qk_rope_head_dim"}, 2, kMaxExtent);
  c.v_dim = f.Int({"v_head_dim"}, 2, kMaxExtent);
  if (c.rope_dim % 2 != 0) {
    Invalid(f, fmt::format("'qk_rope_head_dim' is {}, expected an even number", c.rope_dim));
  }
  c.rope = ReadRope(f);
  // It would weigh the rotary channels against the others.
  if (std::abs(c.rope.rotation_scale - 1) > 1e-6) {
    f.Fail(StatusCode::kUnsupported,
           fmt::format("'mscale' and 'mscale_all_dim' scale cosine and sine by {:.6g}, only equal "
                       "ones are supported",
                       c.rope.rotation_scale));
  }
  c.attention_scale = c.rope.mscale * c.rope.mscale / std::sqrt(static_cast<double>(c.QkDim()));
}

void ReadGroups(JsonFields& f, Config& c) {
  c.groups = f.Int({"n_group"}, 1, c.experts);
  c.top_groups = f.Int({"topk_group"}, 1, c.groups);
  // A group is scored by its two best experts.
  const std::int64_t size = c.experts / c.groups;
  if (c.experts % c.groups != 0 || (c.groups > 1 && size < 2)) {
    Invalid(f, fmt::format("'n_group' is {}, expected 1 or equal groups of two and more of the {} "
                           "experts",
                           c.groups, c.experts));
  }
  if (c.experts_per_token > c.top_groups * size) {
    Invalid(f, fmt::format("'num_experts_per_tok' is {}, expected at most the {} experts of "
                           "'topk_group' = {} groups",
                           c.experts_per_token, c.top_groups * size, c.top_groups));
  }
}

void ReadExperts(JsonFields& f, Config& c) {
  f.Only({"scoring_func"}, "sigmoid");
  f.Only({"topk_method"}, "noaux_tc");
  f.Only({"norm_topk_prob"}, true);
  f.Only({"moe_layer_freq"}, 1);
  c.experts = f.Int({"n_routed_experts"}, 1, kMaxExtent);
  c.experts_per_token = f.Int({"num_experts_per_tok"}, 1, c.experts);
  c.expert_width = f.Int({"moe_intermediate_size"}, 1, kMaxExtent);
  c.shared_width = c.expert_width * f.Int({"n_shared_experts"}, 1, kMaxCount);
  c.routed_scale = static_cast<float>(f.Real({"routed_scaling_factor"}, 0, 1e6));
  ReadGroups(f, c);
}

}  // namespace

Result<Config> ParseConfig(std::string_view json, std::string_view where) {
  BK_ASSIGN_OR_RETURN(const nlohmann::json root, ParseStrictJson(json, where));
  JsonFields f(root, std::string(where));
  Config c;
  CheckModelType(f, {"deepseek_v3", "kimi_k2"});
  CheckSupported(f);
  c.vocab = f.Int({"vocab_size"}, 1, kMaxVocab);
  c.hidden = f.Int({"hidden_size"}, 1, kMaxExtent);
  c.layers = f.Int({"num_hidden_layers"}, 1, kMaxCount);
  c.rms_eps = static_cast<float>(f.Real({"rms_norm_eps"}, 0, 1));
  ReadAttention(f, c);
  c.dense_layers = f.Int({"first_k_dense_replace"}, 0, c.layers);
  if (c.dense_layers > 0) c.dense_width = f.Int({"intermediate_size"}, 1, kMaxExtent);
  if (c.dense_layers < c.layers) ReadExperts(f, c);
  c.max_positions = ReadMaxPositions(f, c.rope.yarn);
  SpecialTokens tokens = ReadTokens(f, c.vocab);
  c.bos = tokens.bos;
  c.eos = std::move(tokens.eos);
  c.quantisation = ReadQuantisation(f);
  BK_RETURN_IF_ERROR(f.status());
  return c;
}

}  // namespace birkhoff::models::deepseek_v3
