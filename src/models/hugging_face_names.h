// The names that Hugging Face gives to the tensors of a checkpoint, brought to those of
// TensorLoader.
#pragma once

#include <string>
#include <string_view>

#include "models/stage.h"
#include "models/tensor_loader.h"

namespace birkhoff::models {

inline constexpr std::string_view kHeadNames[] = {"model.norm.", "lm_head."};
inline constexpr StageNames kStageNames = {"model.layers.", "model.embed_tokens.", kHeadNames};

inline constexpr MlpNames kMlpNames = {"gate_proj", "up_proj", "down_proj"};

// "model.layers.3.self_attn.q_proj.weight_scale" and "..._scale_inv" -> "...q_proj.scale": both
// multiply. Fused experts, which are parameters of their block, get a ".weight":
// "model.layers.3.mlp.experts.down_proj" -> "....down_proj.weight". Any other name comes back as it
// is.
std::string LoaderName(std::string_view name);

}  // namespace birkhoff::models
