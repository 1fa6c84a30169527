// The parameters of a DeepSeek-V3 model, under the names of Hugging Face:
// "model.layers.3.self_attn.q_a_proj".
//
// N layers, d hidden, H heads of nope + rope channels (of v in the values), E experts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "models/deepseek_v3/config.h"
#include "models/params.h"
#include "models/weight_source.h"

namespace birkhoff::models::deepseek_v3 {

struct AttentionParams {
  std::string name = {};       // "model.layers.3.self_attn"
  MatrixParam q_a = {};        // [q_lora, d]
  VectorParam q_a_norm = {};   // [q_lora]
  MatrixParam q_b = {};        // [H (nope + rope), q_lora]
  MatrixParam kv_a = {};       // [kv_lora + rope, d]
  VectorParam kv_a_norm = {};  // [kv_lora]
  MatrixParam kv_b = {};       // [H (nope + v), kv_lora]
  MatrixParam o = {};          // [d, H v]
};

struct MoeParams {
  MatrixParam gate = {};      // [E, d]
  VectorParam bias = {};      // [E]
  ExpertParams experts = {};  // [expert_width, d] and [d, expert_width]
  MlpParams shared = {};      // of shared_width
};

struct LayerParams {
  VectorParam attn_norm = {};  // [d]
  VectorParam mlp_norm = {};   // [d]
  AttentionParams attn = {};
  std::optional<MlpParams> dense = {};  // the first layers
  std::optional<MoeParams> moe = {};    // the others
};

struct Weights : LoadedParams {
  MatrixParam embed = {};                // [V, d]
  std::vector<LayerParams> layers = {};  // [N]
  VectorParam norm = {};                 // [d]
  MatrixParam head = {};                 // [V, d]
};

// Reads every parameter of the stage, see TensorLoader; its errors have Hugging Face's names. The
// MTP layer, which follows the last, is left out with a note.
Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options = {});

}  // namespace birkhoff::models::deepseek_v3
