// The shape and the constants of a DeepSeek-V3 model (also Kimi-K2), as config.json gives them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "models/config_parts.h"

namespace birkhoff::models::deepseek_v3 {

struct Config {
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t max_positions = 0;  // longest context

  // Multi-head latent attention. A head of q and k is nope_dim channels and then rope_dim rotary
  // ones; the rotary part of k is one for all heads.
  std::int64_t heads = 0;
  std::int64_t q_lora = 0;
  std::int64_t kv_lora = 0;
  std::int64_t nope_dim = 0;
  std::int64_t rope_dim = 0;  // even
  std::int64_t v_dim = 0;
  double attention_scale = 0;  // (nope_dim + rope_dim)^-0.5 m^2, m the temperature of YaRN
  RopeConfig rope = {};

  std::int64_t dense_layers = 0;  // the first ones, <= layers; the others are mixtures of experts
  std::int64_t dense_width = 0;

  // Mixture of experts; 0 where every layer is dense. Experts form `groups` equal groups, of which
  // a token keeps top_groups. The shared experts are one of shared_width.
  std::int64_t experts = 0;
  std::int64_t experts_per_token = 0;
  std::int64_t expert_width = 0;
  std::int64_t shared_width = 0;
  std::int64_t groups = 0;
  std::int64_t top_groups = 0;
  float routed_scale = 1.0f;

  float rms_eps = 0.0f;

  std::optional<std::int64_t> bos = {};
  std::vector<std::int64_t> eos = {};
  QuantisationConfig quantisation = {};

  std::int64_t QkDim() const { return nope_dim + rope_dim; }
  std::int64_t LatentDim() const { return kv_lora + rope_dim; }  // of one token in the cache
};

// Reads config.json in the spelling of Hugging Face, with rope_scaling or rope_parameters.
//
// Errors   kUnsupported      a model_type other than "deepseek_v3" and "kimi_k2", or a value that
//                            the model class allows and that Birkhoff has no code for
//          kInvalidArgument  not JSON, a duplicate key, a missing field, or a value out of range;
//                            the message names the field, what was expected and what came
Result<Config> ParseConfig(std::string_view json, std::string_view where);

}  // namespace birkhoff::models::deepseek_v3
