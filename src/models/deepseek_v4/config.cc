#include "models/deepseek_v4/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/strict_json.h"
#include "models/config_parts.h"
#include "models/json_fields.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

using Json = nlohmann::json;

void Invalid(JsonFields& fields, std::string message) {
  fields.Fail(StatusCode::kInvalidArgument, std::move(message));
}

// The official inference/config.json states no type; its names tell it.
void CheckType(JsonFields& fields) {
  const bool official = fields.Has("dim") && fields.Has("n_layers") && fields.Has("hc_mult");
  if (!fields.Has("model_type") && official) return;
  CheckModelType(fields, {"deepseek_v4"});
}

// What the formulas of this architecture take for granted.
void CheckSupported(JsonFields& fields) {
  fields.Only({"hidden_act"}, "silu");
  fields.Only({"scoring_func", "score_func"}, "sqrtsoftplus");
  fields.Only({"topk_method"}, "noaux_tc");
  fields.Only({"norm_topk_prob"}, true);
  fields.Only({"attention_bias"}, false);
  fields.Only({"tie_word_embeddings"}, false);
  fields.Only({"num_key_value_heads"}, 1);
  fields.Only({"n_shared_experts"}, 1);
}

void ReadExtents(JsonFields& f, Config& c) {
  c.vocab = f.Int({"vocab_size"}, 1, kMaxVocab);
  c.hidden = f.Int({"hidden_size", "dim"}, 1, kMaxExtent);
  c.layers = f.Int({"num_hidden_layers", "n_layers"}, 1, kMaxCount);
  c.mtp_layers = f.Int({"num_nextn_predict_layers", "n_mtp_layers"}, 0, kMaxCount, 0);
  c.heads = f.Int({"num_attention_heads", "n_heads"}, 1, kMaxCount);
  c.head_dim = f.Int({"head_dim"}, 1, kMaxExtent);
  c.q_lora = f.Int({"q_lora_rank"}, 1, kMaxExtent);
  c.o_lora = f.Int({"o_lora_rank"}, 1, kMaxExtent);
  c.o_groups = f.Int({"o_groups"}, 1, kMaxCount);
  c.window = f.Int({"sliding_window", "window_size"}, 1, kMaxExtent);
  if (c.heads % c.o_groups != 0) {
    Invalid(f, fmt::format("'num_attention_heads' is {}, expected a multiple of 'o_groups' = {}",
                           c.heads, c.o_groups));
  }
}

void ReadExperts(JsonFields& f, Config& c) {
  c.experts = f.Int({"n_routed_experts"}, 1, kMaxExtent);
  c.experts_per_token = f.Int({"num_experts_per_tok", "n_activated_experts"}, 1, c.experts);
  c.expert_width = f.Int({"moe_intermediate_size", "moe_inter_dim"}, 1, kMaxExtent);
  c.routed_scale = static_cast<float>(f.Real({"routed_scaling_factor", "route_scale"}, 0, 1e6));
  const double limit = f.Real({"swiglu_limit"}, 0, 1e6, 0.0);
  if (limit > 0) c.swiglu_limit = static_cast<float>(limit);

  const auto kinds = f.Strings({"mlp_layer_types"});
  if (f.Has("num_hash_layers") || f.Has("n_hash_layers") || kinds.empty()) {
    c.hash_layers = f.Int({"num_hash_layers", "n_hash_layers"}, 0, c.layers, 0);
    return;
  }
  const auto hash =
      std::find_if(kinds.begin(), kinds.end(), [](const auto& k) { return k != "hash_moe"; });
  c.hash_layers = hash - kinds.begin();
  if (std::ssize(kinds) != c.layers ||
      std::any_of(hash, kinds.end(), [](const auto& k) { return k != "moe"; })) {
    Invalid(f, fmt::format(
                   "'mlp_layer_types' is not a run of \"hash_moe\" and then \"moe\" over {} layers",
                   c.layers));
  }
}

void ReadHyperConnections(JsonFields& f, Config& c) {
  c.hc_mult = f.Int({"hc_mult"}, 2, 8);
  if (c.hc_mult != 2 && c.hc_mult != 4 && c.hc_mult != 8) {
    Invalid(f, fmt::format("'hc_mult' is {}, expected 2, 4 or 8", c.hc_mult));
  }
  c.sinkhorn_iters = f.Int({"hc_sinkhorn_iters"}, 1, 1000);
  c.hc_eps = static_cast<float>(f.Real({"hc_eps"}, 0, 1));
  c.rms_eps = static_cast<float>(f.Real({"rms_norm_eps", "norm_eps"}, 0, 1));
}

// Ratios from the names that Hugging Face gives to kinds of layers.
std::vector<std::int64_t> RatiosOfLayerTypes(JsonFields& f, const std::vector<std::string>& types) {
  std::int64_t heavy = 128;
  if (const Json* rates = f.Find({"compress_rates"})) {
    JsonFields rate(*rates, "compress_rates");
    rate.Only({"compressed_sparse_attention"}, 4);
    heavy = rate.Int({"heavily_compressed_attention"}, 1, kMaxExtent, 128);
    f.Include(rate);
  }
  std::vector<std::int64_t> ratios;
  for (const std::string& type : types) {
    if (type == "sliding_attention") {
      ratios.push_back(0);
    } else if (type == "compressed_sparse_attention") {
      ratios.push_back(4);
    } else if (type == "heavily_compressed_attention") {
      ratios.push_back(heavy);
    } else {
      f.Fail(StatusCode::kUnsupported,
             fmt::format("'layer_types[{}]' is '{}'", ratios.size(), type));
      break;
    }
  }
  return ratios;
}

// One ratio per layer and, optionally, per draft block. Later releases add three entries for a
// draft part of another kind; what lies beyond this model's blocks is not ours to read.
void ReadSchedule(JsonFields& f, const Json& root, Config& c) {
  c.ratios = f.Ints({"compress_ratios"}, 0, kMaxExtent);
  if (!f.Has("compress_ratios")) {
    const auto types = f.Strings({"layer_types"});
    if (types.empty()) {
      // Hugging Face falls back to a schedule that is not the one of any release.
      Invalid(
          f, "neither 'compress_ratios' nor 'layer_types' is there: the layers' kinds are unknown");
    }
    c.ratios = RatiosOfLayerTypes(f, types);
  }
  if (!f.status().ok()) return;

  const auto all = static_cast<std::size_t>(c.layers + c.mtp_layers);
  const bool dspark = std::any_of(root.items().begin(), root.items().end(), [](const auto& item) {
    return item.key().starts_with("dspark_");
  });
  const std::size_t found = c.ratios.size();
  if (found != static_cast<std::size_t>(c.layers) && found != all && !(dspark && found > all)) {
    Invalid(
        f,
        fmt::format(
            "'compress_ratios' has {} entries, expected {} (layers) or {} (layers and MTP blocks)",
            found, c.layers, all));
    return;
  }
  c.ratios.resize(all, 0);
  for (auto i = static_cast<std::size_t>(c.layers); i < all; ++i) {
    if (c.ratios[i] != 0) {
      f.Fail(StatusCode::kUnsupported,
             fmt::format("'compress_ratios[{}]' is {}, an MTP block has ratio 0", i, c.ratios[i]));
    }
  }
}

void ReadIndexer(JsonFields& f, Config& c) {
  const bool needed = std::find(c.ratios.begin(), c.ratios.end(), 4) != c.ratios.end();
  const auto fallback = needed ? std::nullopt : std::optional<std::int64_t>(0);
  c.index_heads = f.Int({"index_n_heads"}, 1, kMaxCount, fallback);
  c.index_dim = f.Int({"index_head_dim"}, 1, kMaxExtent, fallback);
  c.index_topk = f.Int({"index_topk"}, 1, kMaxPositions, fallback);
  if (needed && c.rope_dim > c.index_dim) {
    Invalid(f, fmt::format("'qk_rope_head_dim' is {}, expected at most 'index_head_dim' = {}",
                           c.rope_dim, c.index_dim));
  }
}

// A dictionary with a type: rope_scaling, or one of the two in rope_parameters.
std::optional<YarnScaling> ReadTypedYarn(JsonFields& f) {
  const Json* type = f.Find({"rope_type", "type"});
  if (type == nullptr || *type == "default") return {};
  f.Only({"rope_type", "type"}, "yarn");
  f.Only({"attention_factor"}, 1.0);  // the architecture has no attention temperature
  return ReadYarn(f, {"factor"}, {"original_max_position_embeddings"});
}

// Hugging Face keeps the two rotary embeddings in dictionaries of their own.
void ReadRopeParameters(JsonFields& f, const Json& parameters, Config& c) {
  JsonFields both(parameters, "rope_parameters");
  const Json* main = both.Find({"main"});
  if (main == nullptr) Invalid(both, "'main' is missing");
  if (main != nullptr) {
    JsonFields plain(*main, "main");
    plain.Only({"rope_type", "type"}, "default");
    if (plain.Has("rope_theta"))
      c.rope_theta = plain.Real({"rope_theta"}, kMinRopeBase, kMaxRopeBase);
    both.Include(plain);
  }
  if (const Json* compress = both.Find({"compress"})) {
    JsonFields compressed(*compress, "compress");
    c.yarn = ReadTypedYarn(compressed);
    if (compressed.Has("rope_theta"))
      c.compress_rope_theta = compressed.Real({"rope_theta"}, kMinRopeBase, kMaxRopeBase);
    both.Include(compressed);
  }
  f.Include(both);
}

void ReadRope(JsonFields& f, Config& c) {
  const bool compressed =
      std::any_of(c.ratios.begin(), c.ratios.end(), [](auto r) { return r > 0; });
  if (const Json* parameters = f.Find({"rope_parameters"})) {
    ReadRopeParameters(f, *parameters, c);
  } else if (const Json* scaling = f.Find({"rope_scaling"})) {
    JsonFields dictionary(*scaling, "rope_scaling");
    c.yarn = ReadTypedYarn(dictionary);
    f.Include(dictionary);
  } else if (f.Int({"original_seq_len"}, 0, kMaxPositions, 0) > 0) {
    c.yarn = ReadYarn(f, {"rope_factor"}, {"original_seq_len"});
  }
  if (c.rope_theta == 0) c.rope_theta = f.Real({"rope_theta"}, kMinRopeBase, kMaxRopeBase);
  // Required where it is used: the default of the official code is the value of no release.
  if (compressed && c.compress_rope_theta == 0) {
    c.compress_rope_theta = f.Real({"compress_rope_theta"}, kMinRopeBase, kMaxRopeBase);
  }
}

void ReadRopeDim(JsonFields& f, Config& c) {
  if (!f.Has("qk_rope_head_dim") && f.Has("partial_rotary_factor")) {
    const double dim = f.Real({"partial_rotary_factor"}, 0, 1) * static_cast<double>(c.head_dim);
    c.rope_dim = std::llround(dim);
    if (std::abs(dim - static_cast<double>(c.rope_dim)) > 1e-6 * dim) {
      Invalid(f, fmt::format("'partial_rotary_factor' gives {} of {} channels", dim, c.head_dim));
    }
  } else {
    c.rope_dim = f.Int({"qk_rope_head_dim", "rope_head_dim"}, 1, c.head_dim);
  }
  if (c.rope_dim < 2 || c.rope_dim % 2 != 0) {
    Invalid(f, fmt::format("'qk_rope_head_dim' is {}, expected an even number in [2, {}]",
                           c.rope_dim, c.head_dim));
  }
}

void ReadBlock(JsonFields& f, Config& c) {
  const Json* quantisation = f.Find({"quantization_config"});
  if (quantisation == nullptr) return;
  JsonFields q(*quantisation, "quantization_config");
  c.block_rows = c.block_cols = ReadScaleBlock(q);
  f.Include(q);
}

}  // namespace

Result<Config> ParseConfig(std::string_view json, std::string_view where) {
  BK_ASSIGN_OR_RETURN(const Json root, ParseStrictJson(json, where));
  JsonFields f(root, std::string(where));
  Config c;
  CheckType(f);
  CheckSupported(f);
  ReadExtents(f, c);
  ReadExperts(f, c);
  ReadHyperConnections(f, c);
  ReadSchedule(f, root, c);
  ReadRopeDim(f, c);
  ReadRope(f, c);
  ReadIndexer(f, c);
  c.max_positions = ReadMaxPositions(f, c.yarn);
  SpecialTokens tokens = ReadTokens(f, c.vocab);
  c.bos = tokens.bos;
  c.eos = std::move(tokens.eos);
  ReadBlock(f, c);
  BK_RETURN_IF_ERROR(f.status());
  return c;
}

}  // namespace birkhoff::models::deepseek_v4
