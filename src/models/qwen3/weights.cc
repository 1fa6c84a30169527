#include "models/qwen3/weights.h"

#include <fmt/core.h>

#include "models/hugging_face_names.h"
#include "models/tensor_loader.h"

namespace birkhoff::models::qwen3 {
namespace {

Status ReadLayer(const Config& c, std::int64_t layer, TensorLoader& loader, LayerParams& p) {
  p.name = fmt::format("model.layers.{}", layer);
  const std::string attn = p.name + ".self_attn.";
  const std::int64_t queries = c.heads * c.head_dim;
  const std::int64_t keys = c.kv_heads * c.head_dim;
  BK_RETURN_IF_ERROR(loader.Vector(p.attn_norm, p.name + ".input_layernorm.weight", {c.hidden}));
  BK_RETURN_IF_ERROR(loader.Matrix(p.q, attn + "q_proj", queries, c.hidden));
  BK_RETURN_IF_ERROR(loader.Matrix(p.k, attn + "k_proj", keys, c.hidden));
  BK_RETURN_IF_ERROR(loader.Matrix(p.v, attn + "v_proj", keys, c.hidden));
  BK_RETURN_IF_ERROR(loader.Vector(p.q_norm, attn + "q_norm.weight", {c.head_dim}));
  BK_RETURN_IF_ERROR(loader.Vector(p.k_norm, attn + "k_norm.weight", {c.head_dim}));
  BK_RETURN_IF_ERROR(loader.Matrix(p.o, attn + "o_proj", c.hidden, queries));
  BK_RETURN_IF_ERROR(
      loader.Vector(p.mlp_norm, p.name + ".post_attention_layernorm.weight", {c.hidden}));
  return loader.Mlp(p.mlp, p.name + ".mlp", kMlpNames, c.width, c.hidden);
}

Status ReadAll(const Config& c, const StageSpan& stage, TensorLoader& loader, Weights& w) {
  if (stage.embedding)
    BK_RETURN_IF_ERROR(loader.Matrix(w.embed, "model.embed_tokens", c.vocab, c.hidden));
  w.layers.resize(static_cast<std::size_t>(c.layers));
  for (std::int64_t l = stage.first; l < stage.end; ++l) {
    BK_RETURN_IF_ERROR(ReadLayer(c, l, loader, w.layers[static_cast<std::size_t>(l)]));
  }
  if (!stage.head) return Status::Ok();
  BK_RETURN_IF_ERROR(loader.Vector(w.norm, "model.norm.weight", {c.hidden}));
  if (!c.tied) return loader.Matrix(w.head, "lm_head", c.vocab, c.hidden);
  w.head = w.embed;
  return Status::Ok();
}

}  // namespace

Result<Weights> LoadWeights(const Config& config, const WeightSource& source,
                            const LoadOptions& options) {
  BK_ASSIGN_OR_RETURN(StageSpan stage,
                      FindStage(options.first_layer, options.end_layer, config.layers));
  stage.embedding = stage.embedding || (config.tied && stage.head);
  Weights weights;
  TensorLoader loader(source, options, config.quantisation.block, weights);
  BK_RETURN_IF_ERROR(loader.Index(
      LoaderName, [&](std::string_view name) { return LeftOut(name, kStageNames, stage); }));
  BK_RETURN_IF_ERROR(ReadAll(config, stage, loader, weights));
  loader.ReportUnused();
  return weights;
}

}  // namespace birkhoff::models::qwen3
