#include "models/deepseek_v4/names.h"

#include <array>
#include <utility>

namespace birkhoff::models::deepseek_v4 {
namespace {

using Renaming = std::pair<std::string_view, std::string_view>;

// Whole names outside the layers, without "model.".
constexpr std::array kTopLevel = {
    Renaming{"embed_tokens.weight", "embed.weight"}, Renaming{"lm_head.weight", "head.weight"},
    Renaming{"hc_head.hc_fn", "hc_head_fn"},         Renaming{"hc_head.hc_base", "hc_head_base"},
    Renaming{"hc_head.hc_scale", "hc_head_scale"},
};

// Starts of what follows "layers.L.".
constexpr std::array kBlocks = {
    Renaming{"self_attn.", "attn."},
    Renaming{"mlp.", "ffn."},
};

// Ends that tell a tensor from its companion.
constexpr std::array kSuffixes = {
    Renaming{".weight_scale_inv", ".scale"},
    Renaming{"_scale_inv", ".scale"},  // of fused experts
    Renaming{".scale", ".scale"},
    Renaming{".weight", ".weight"},
};

// What stands between: the parameter within its layer.
constexpr std::array kParameters = {
    Renaming{"input_layernorm", "attn_norm"},
    Renaming{"post_attention_layernorm", "ffn_norm"},
    Renaming{"attn_hc.fn", "hc_attn_fn"},
    Renaming{"attn_hc.base", "hc_attn_base"},
    Renaming{"attn_hc.scale", "hc_attn_scale"},
    Renaming{"ffn_hc.fn", "hc_ffn_fn"},
    Renaming{"ffn_hc.base", "hc_ffn_base"},
    Renaming{"ffn_hc.scale", "hc_ffn_scale"},
    Renaming{"attn.q_a_proj", "attn.wq_a"},
    Renaming{"attn.q_a_norm", "attn.q_norm"},
    Renaming{"attn.q_b_proj", "attn.wq_b"},
    Renaming{"attn.kv_proj", "attn.wkv"},
    Renaming{"attn.sinks", "attn.attn_sink"},
    Renaming{"attn.o_a_proj", "attn.wo_a"},
    Renaming{"attn.o_b_proj", "attn.wo_b"},
    Renaming{"attn.compressor.kv_proj", "attn.compressor.wkv"},
    Renaming{"attn.compressor.gate_proj", "attn.compressor.wgate"},
    Renaming{"attn.compressor.position_bias", "attn.compressor.ape"},
    Renaming{"attn.compressor.kv_norm", "attn.compressor.norm"},
    Renaming{"attn.compressor.indexer.q_b_proj", "attn.indexer.wq_b"},
    Renaming{"attn.compressor.indexer.scorer.weights_proj", "attn.indexer.weights_proj"},
    Renaming{"attn.compressor.indexer.weights_proj", "attn.indexer.weights_proj"},
    Renaming{"attn.compressor.indexer.kv_proj", "attn.indexer.compressor.wkv"},
    Renaming{"attn.compressor.indexer.gate_proj", "attn.indexer.compressor.wgate"},
    Renaming{"attn.compressor.indexer.position_bias", "attn.indexer.compressor.ape"},
    Renaming{"attn.compressor.indexer.kv_norm", "attn.indexer.compressor.norm"},
    Renaming{"ffn.gate.e_score_correction_bias", "ffn.gate.bias"},
};

// Last part of an expert's parameter, routed or shared.
constexpr std::array kExpertParameters = {
    Renaming{".gate_proj", ".w1"},
    Renaming{".up_proj", ".w3"},
    Renaming{".down_proj", ".w2"},
};

std::string Concat(std::string_view a, std::string_view b) { return std::string(a).append(b); }

// "ffn.experts.7.gate_proj" -> "ffn.experts.7.w1". The fused "ffn.experts.down_proj" keeps its
// name.
std::string ExpertName(std::string_view stem) {
  const bool fused = stem == "ffn.experts.down_proj";
  for (const auto& [from, to] : kExpertParameters) {
    if (!fused && stem.ends_with(from)) {
      return Concat(stem.substr(0, stem.size() - from.size()), to);
    }
  }
  return std::string(stem);
}

std::string ParameterName(const std::string& stem) {
  if (stem.starts_with("ffn.experts.") || stem.starts_with("ffn.shared_experts.")) {
    return ExpertName(stem);
  }
  for (const auto& [from, to] : kParameters) {
    if (stem == from) return std::string(to);
  }
  return stem;
}

// What follows "layers.L.".
std::string NameInLayer(std::string_view rest) {
  std::string stem(rest);
  for (const auto& [from, to] : kBlocks) {
    if (rest.starts_with(from)) stem = Concat(to, rest.substr(from.size()));
  }
  // Hugging Face stores fused experts as parameters of the block itself, without ".weight".
  const bool bare = stem == "ffn.experts.gate_up_proj" || stem == "ffn.experts.down_proj";
  if (bare) return stem + ".weight";
  for (const auto& [from, to] : kSuffixes) {
    // "attn_hc.scale" is a parameter of that name, not a companion.
    if (stem.ends_with(from) && !stem.ends_with("_hc.scale")) {
      return ParameterName(stem.substr(0, stem.size() - from.size())).append(to);
    }
  }
  return ParameterName(stem);
}

}  // namespace

std::string OfficialName(std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  const std::string_view bare = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
  for (const auto& [from, to] : kTopLevel) {
    if (bare == from) return std::string(to);
  }
  const std::size_t first_dot = bare.find('.');
  const std::size_t second_dot = first_dot == bare.npos ? bare.npos : bare.find('.', first_dot + 1);
  if (second_dot == bare.npos || (!bare.starts_with("layers.") && !bare.starts_with("mtp."))) {
    return std::string(bare);
  }
  return Concat(bare.substr(0, second_dot + 1), NameInLayer(bare.substr(second_dot + 1)));
}

}  // namespace birkhoff::models::deepseek_v4
