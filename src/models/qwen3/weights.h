// The parameters of a dense Qwen3 model, under the names of Hugging Face:
// "model.layers.3.self_attn.q_proj".
//
// N layers, d hidden, H heads of D channels, Hk heads of keys and values, I the width of the MLP.
#pragma once

#include <string>
#include <vector>

#include "birkhoff/status.h"
#include "models/params.h"
#include "models/qwen3/config.h"
#include "models/weight_source.h"

namespace birkhoff::models::qwen3 {

struct LayerParams {
  std::string name = {};       // "model.layers.3"
  VectorParam attn_norm = {};  // [d]
  MatrixParam q = {};          // [H D, d]
  MatrixParam k = {};          // [Hk D, d]
  MatrixParam v = {};          // [Hk D, d]
  VectorParam q_norm = {};     // [D]
  VectorParam k_norm = {};     // [D]
  MatrixParam o = {};          // [d, H D]
  VectorParam mlp_norm = {};   // [d]
  MlpParams mlp = {};          // of width I
};

struct Weights : LoadedParams {
  MatrixParam embed = {};                // [V, d]
  std::vector<LayerParams> layers = {};  // [N]
  VectorParam norm = {};                 // [d]
  MatrixParam head = {};                 // [V, d]; the embedding where they are tied
};

// Reads every parameter of the stage, see TensorLoader; its errors have Hugging Face's names.
Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options = {});

}  // namespace birkhoff::models::qwen3
