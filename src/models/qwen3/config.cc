#include "models/qwen3/config.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/strict_json.h"
#include "models/json_fields.h"

namespace birkhoff::models::qwen3 {
namespace {

// What the formulas of this architecture take for granted.
void CheckSupported(JsonFields& f) {
  f.Only({"hidden_act"}, "silu");
  f.Only({"attention_bias"}, false);
  f.Only({"use_sliding_window"}, false);
  for (const std::string& type : f.Strings({"layer_types"})) {
    if (type == "full_attention") continue;
    f.Fail(StatusCode::kUnsupported,
           fmt::format("'layer_types' names '{}', only 'full_attention' is supported", type));
  }
}

void ReadHeads(JsonFields& f, Config& c) {
  c.heads = f.Int({"num_attention_heads"}, 1, kMaxCount);
  c.kv_heads = f.Int({"num_key_value_heads"}, 1, c.heads);
  c.head_dim = f.Int({"head_dim"}, 2, kMaxExtent);
  if (c.heads % c.kv_heads != 0) {
    f.Fail(StatusCode::kInvalidArgument,
           fmt::format("'num_attention_heads' is {}, expected a multiple of 'num_key_value_heads' "
                       "= {}",
                       c.heads, c.kv_heads));
  }
  if (c.head_dim % 2 != 0) {
    f.Fail(StatusCode::kInvalidArgument,
           fmt::format("'head_dim' is {}, expected an even number", c.head_dim));
  }
}

}  // namespace

Result<Config> ParseConfig(std::string_view json, std::string_view where) {
  BK_ASSIGN_OR_RETURN(const nlohmann::json root, ParseStrictJson(json, where));
  JsonFields f(root, std::string(where));
  Config c;
  CheckModelType(f, {"qwen3"});
  CheckSupported(f);
  c.vocab = f.Int({"vocab_size"}, 1, kMaxVocab);
  c.hidden = f.Int({"hidden_size"}, 1, kMaxExtent);
  c.layers = f.Int({"num_hidden_layers"}, 1, kMaxCount);
  c.width = f.Int({"intermediate_size"}, 1, kMaxExtent);
  c.rms_eps = static_cast<float>(f.Real({"rms_norm_eps"}, 0, 1));
  c.tied = f.Flag({"tie_word_embeddings"}, false);
  ReadHeads(f, c);
  c.rope = ReadRope(f);
  c.attention_scale =
      c.rope.rotation_scale * c.rope.rotation_scale / std::sqrt(static_cast<double>(c.head_dim));
  c.max_positions = ReadMaxPositions(f, c.rope.yarn);
  SpecialTokens tokens = ReadTokens(f, c.vocab);
  c.bos = tokens.bos;
  c.eos = std::move(tokens.eos);
  c.quantisation = ReadQuantisation(f);
  BK_RETURN_IF_ERROR(f.status());
  return c;
}

}  // namespace birkhoff::models::qwen3
