// The shape and the constants of a DeepSeek-V4 model, as config.json gives them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "models/rope_frequencies.h"

namespace birkhoff::models::deepseek_v4 {

struct Config {
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t mtp_layers = 0;  // draft blocks after the last layer; the checkpoint may lack them
  std::int64_t max_positions = 0;  // longest context

  // Attention. The rotary channels are the last rope_dim of head_dim.
  std::int64_t heads = 0;  // a multiple of o_groups
  std::int64_t head_dim = 0;
  std::int64_t rope_dim = 0;  // even, <= head_dim and, with an indexer, <= index_dim
  std::int64_t q_lora = 0;
  std::int64_t o_lora = 0;  // rank of each group
  std::int64_t o_groups = 0;
  std::int64_t window = 0;  // tokens, the current one included

  // [layers + mtp_layers], 0 = window only, 4 = overlapping pools and an indexer, other = plain
  // pools of that many tokens. The entries of MTP blocks are 0.
  std::vector<std::int64_t> ratios = {};

  // Indexer of the ratio-4 layers; 0 when there is no such layer and the config is silent.
  std::int64_t index_heads = 0;
  std::int64_t index_dim = 0;
  std::int64_t index_topk = 0;

  // Mixture of experts: every layer has one, with one shared expert of the same width.
  std::int64_t experts = 0;
  std::int64_t experts_per_token = 0;  // <= experts
  std::int64_t expert_width = 0;
  std::int64_t hash_layers = 0;  // the first ones, routed by token id
  float routed_scale = 1.0f;
  std::optional<float> swiglu_limit = {};  // empty: no clamp

  // Hyper-connections.
  std::int64_t hc_mult = 0;  // 2, 4 or 8 streams
  std::int64_t sinkhorn_iters = 0;
  float hc_eps = 0.0f;
  float rms_eps = 0.0f;

  double rope_theta = 0;           // base of ratio-0 layers
  double compress_rope_theta = 0;  // base of the other layers; 0 when there are none
  // YaRN of the layers with a compress ratio above 0; empty: plain rotary embedding everywhere.
  std::optional<YarnScaling> yarn = {};

  std::optional<std::int64_t> bos = {};
  std::vector<std::int64_t> eos = {};

  // Rows and columns that share one FP8 scale: 128 x 128 or 32 x 32. A hint: scale tensors decide.
  std::int32_t block_rows = 128;
  std::int32_t block_cols = 128;

  // Ratio of layer `layer`; MTP block j is layer layers + j.
  std::int64_t Ratio(std::int64_t layer) const { return ratios[static_cast<std::size_t>(layer)]; }
  bool HasIndexer(std::int64_t layer) const { return Ratio(layer) == 4; }
  bool IsHashRouted(std::int64_t layer) const { return layer < hash_layers; }
};

// Reads config.json in the spelling of the release, of a Hugging Face re-save (layer_types,
// mlp_layer_types, rope_parameters) or of the official inference/config.json (dim, n_layers, ...).
// `where` names the file in messages.
//
// Errors   kUnsupported      another model_type, or a value that the model class allows and that
//                            Birkhoff has no code for (scoring_func, topk_method, hidden_act, ...)
//          kInvalidArgument  not JSON, a duplicate key, a missing field, or a value out of range;
//                            the message names the field, what was expected and what came
Result<Config> ParseConfig(std::string_view json, std::string_view where);

}  // namespace birkhoff::models::deepseek_v4
