// The names of a checkpoint's tensors, brought to the ones of the official release.
#pragma once

#include <string>
#include <string_view>

namespace birkhoff::models::deepseek_v4 {

// "model.layers.3.self_attn.q_a_proj.weight_scale_inv" -> "layers.3.attn.wq_a.scale". Takes the
// names of Hugging Face, new and old, and the mixed ones of the official converter (self_attn, mlp,
// weight_scale_inv, e_score_correction_bias). Any other name comes back as it is.
//
// Fused experts, which the release does not have, become
// "layers.3.ffn.experts.gate_up_proj.weight",
// ".scale" and the same of "down_proj".
std::string OfficialName(std::string_view name);

}  // namespace birkhoff::models::deepseek_v4
