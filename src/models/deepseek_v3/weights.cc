#include "models/deepseek_v3/weights.h"

#include <fmt/core.h>

#include "models/hugging_face_names.h"
#include "models/tensor_loader.h"

namespace birkhoff::models::deepseek_v3 {
namespace {

class Reader {
 public:
  Reader(const Config& config, TensorLoader& loader) : c_(config), loader_(loader) {}

  Status Read(const StageSpan& stage, Weights& w) {
    if (stage.embedding)
      BK_RETURN_IF_ERROR(loader_.Matrix(w.embed, "model.embed_tokens", c_.vocab, c_.hidden));
    w.layers.resize(static_cast<std::size_t>(c_.layers));
    for (std::int64_t l = stage.first; l < stage.end; ++l) {
      BK_RETURN_IF_ERROR(Layer(w.layers[static_cast<std::size_t>(l)], l));
    }
    if (!stage.head) return Status::Ok();
    BK_RETURN_IF_ERROR(loader_.Vector(w.norm, "model.norm.weight", {c_.hidden}));
    return loader_.Matrix(w.head, "lm_head", c_.vocab, c_.hidden);
  }

 private:
  Status Attention(AttentionParams& p, const std::string& name) {
    p.name = name;
    const std::string at = name + ".";
    BK_RETURN_IF_ERROR(loader_.Matrix(p.q_a, at + "q_a_proj", c_.q_lora, c_.hidden));
    BK_RETURN_IF_ERROR(loader_.Vector(p.q_a_norm, at + "q_a_layernorm.weight", {c_.q_lora}));
    BK_RETURN_IF_ERROR(loader_.Matrix(p.q_b, at + "q_b_proj", c_.heads * c_.QkDim(), c_.q_lora));
    BK_RETURN_IF_ERROR(
        loader_.Matrix(p.kv_a, at + "kv_a_proj_with_mqa", c_.LatentDim(), c_.hidden));
    BK_RETURN_IF_ERROR(loader_.Vector(p.kv_a_norm, at + "kv_a_layernorm.weight", {c_.kv_lora}));
    BK_RETURN_IF_ERROR(
        loader_.Matrix(p.kv_b, at + "kv_b_proj", c_.heads * (c_.nope_dim + c_.v_dim), c_.kv_lora));
    return loader_.Matrix(p.o, at + "o_proj", c_.hidden, c_.heads * c_.v_dim);
  }

  Status Moe(MoeParams& p, const std::string& at) {
    BK_RETURN_IF_ERROR(loader_.Matrix(p.gate, at + "gate", c_.experts, c_.hidden));
    BK_RETURN_IF_ERROR(loader_.Vector(p.bias, at + "gate.e_score_correction_bias", {c_.experts}));
    BK_RETURN_IF_ERROR(loader_.Experts(p.experts, at + "experts", kMlpNames, c_.experts,
                                       c_.expert_width, c_.hidden));
    return loader_.Mlp(p.shared, at + "shared_experts", kMlpNames, c_.shared_width, c_.hidden);
  }

  Status Layer(LayerParams& p, std::int64_t layer) {
    const std::string at = fmt::format("model.layers.{}.", layer);
    BK_RETURN_IF_ERROR(loader_.Vector(p.attn_norm, at + "input_layernorm.weight", {c_.hidden}));
    BK_RETURN_IF_ERROR(Attention(p.attn, at + "self_attn"));
    BK_RETURN_IF_ERROR(
        loader_.Vector(p.mlp_norm, at + "post_attention_layernorm.weight", {c_.hidden}));
    if (layer < c_.dense_layers) {
      return loader_.Mlp(p.dense.emplace(), at + "mlp", kMlpNames, c_.dense_width, c_.hidden);
    }
    return Moe(p.moe.emplace(), at + "mlp.");
  }

  const Config& c_;
  TensorLoader& loader_;
};

}  // namespace

Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options) {
  BK_ASSIGN_OR_RETURN(const StageSpan stage,
                      FindStage(options.first_layer, options.end_layer, config.layers));
  Weights weights;
  TensorLoader loader(source, options, config.quantisation.block, weights);
  BK_RETURN_IF_ERROR(loader.Index(
      LoaderName, [&](std::string_view name) { return LeftOut(name, kStageNames, stage); }));
  BK_RETURN_IF_ERROR(Reader(config, loader).Read(stage, weights));
  loader.ReportUnused();
  return weights;
}

}  // namespace birkhoff::models::deepseek_v3
