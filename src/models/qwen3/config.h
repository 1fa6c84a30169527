// The shape and the constants of a dense Qwen3 model, as config.json gives them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "models/config_parts.h"

namespace birkhoff::models::qwen3 {

struct Config {
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t max_positions = 0;  // longest context

  std::int64_t heads = 0;  // a multiple of kv_heads
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;  // even
  RopeConfig rope = {};
  double attention_scale = 0;  // head_dim^-0.5; every channel turns, so YaRN's factor is in it
  std::int64_t width = 0;      // of the gated unit
  float rms_eps = 0.0f;
  bool tied = false;  // the head is the embedding

  std::optional<std::int64_t> bos = {};
  std::vector<std::int64_t> eos = {};
  QuantisationConfig quantisation = {};
};

// Reads config.json in the spelling of Hugging Face, with rope_scaling or rope_parameters.
//
// Errors   kUnsupported      a model_type other than "qwen3", or a value that the model class
//                            allows and that Birkhoff has no code for
//          kInvalidArgument  not JSON, a duplicate key, a missing field, or a value out of range;
//                            the message names the field, what was expected and what came
Result<Config> ParseConfig(std::string_view json, std::string_view where);

}  // namespace birkhoff::models::qwen3
