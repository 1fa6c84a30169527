#include "models/deepseek_v3/build.h"

#include <fmt/core.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/deepseek_v3/absorbed.h"
#include "models/graph_writer.h"
#include "models/rope_frequencies.h"
#include "models/stage.h"

namespace birkhoff::models::deepseek_v3 {
namespace {

using graph::Value;
using ops::Const;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
// Of the two norms inside attention: what Hugging Face's modules default to. rms_norm_eps of the
// config is that of the others.
constexpr double kInnerEps = 1e-6;

// What the graph points to besides the weights.
struct Constants {
  std::vector<double> frequency = {};
  std::vector<AbsorbedParams> absorbed = {};  // [layers], of the absorbed form
};

// Member functions are the formulas of docs/architecture.md, "DeepSeek-V3". Projections that feed a
// norm, a rotation or a sum stay f32: what is rounded to bf16 is the input of each linear layer,
// the query, the cached rows, gate and up, and the stream x once after each layer's half.
class Writer : GraphWriter {
 public:
  Writer(const Config& config, const BuildOptions& options, const Constants& constants)
      : GraphWriter(options), c_(config), constants_(constants) {
    const auto scope = b_.Site("positions");
    rotation_ = RopeTable(b_.Frequency("rope", constants.frequency));
  }

  Result<graph::Graph> Write(const Weights& w) {
    return Stage(
        c_.layers, {kTokens, Const(c_.hidden)}, [&] { return Embed(w.embed); },
        [&](Value x, std::int64_t l) {
          const LayerParams& p = w.layers[static_cast<std::size_t>(l)];
          return Feed(Attend(x, static_cast<int>(l), p), static_cast<int>(l), p);
        },
        [&](Value x) {
          const auto scope = b_.Site("head");
          Logits(b_.GatherRows(x, rows_), w.norm, w.head, c_.rms_eps);
        });
  }

 private:
  // x + o_proj attention(rms(x))
  Value Attend(Value x, int layer, const LayerParams& p) {
    const auto scope = b_.Site(layer, "attn");
    const AttentionParams& a = p.attn;
    const Value u = b_.RmsNorm(x, V(p.attn_norm), c_.rms_eps, act_);
    const auto down =
        b_.Split(b_.Linear(u, {M(a.q_a), M(a.kv_a)}, DType::kF32), {c_.q_lora, c_.LatentDim()});
    const auto latent = b_.Split(down[1], {c_.kv_lora, c_.rope_dim});
    const Value qn = b_.RmsNorm(down[0], V(a.q_a_norm), kInnerEps, act_);
    const Value cn = b_.RmsNorm(latent[0], V(a.kv_a_norm), kInnerEps, act_);
    const Value q = b_.Reshape(b_.Linear(qn, M(a.q_b), DType::kF32),
                               {kTokens, Const(c_.heads), Const(c_.QkDim())});
    const Value k_rotary = b_.Rope(latent[1], rotation_, act_);
    const Value o = o_.mla == MlaForm::kAbsorbed ? Absorbed(q, cn, k_rotary, layer, a)
                                                 : Expanded(q, cn, k_rotary, a);
    const Value flat = b_.Reshape(o, {kTokens, Const(c_.heads * c_.v_dim)});
    return b_.Add(b_.Linear(flat, M(a.o), DType::kF32), x, act_);
  }

  // One key of [cn | rotary] for all heads: W_UK moves to the query, W_UV to the output.
  Value Absorbed(Value q, Value cn, Value k_rotary, int layer, const AttentionParams& a) {
    const AbsorbedParams& w = constants_.absorbed[static_cast<std::size_t>(layer)];
    const auto parts = b_.Split(q, {c_.nope_dim, c_.rope_dim});
    const Value q_latent = b_.HeadLinear(parts[0], b_.Matrices(a.name + ".w_uk", w.uk),
                                         /*transposed=*/true, act_);
    const Value query = b_.Concat(q_latent, b_.Rope(parts[1], rotation_, act_));
    const Value rows = b_.KvWrite(b_.Concat(cn, k_rotary),
                                  b_.State(a.name + ".latent", act_, o_.context, c_.LatentDim()));
    const Value o = b_.LatentAttention(query, rows, c_.kv_lora, c_.attention_scale, act_);
    return b_.HeadLinear(o, b_.Matrices(a.name + ".w_uv", w.uv), /*transposed=*/false, act_);
  }

  // Keys and values of every head.
  Value Expanded(Value q, Value cn, Value k_rotary, const AttentionParams& a) {
    const std::int64_t key_width = c_.heads * c_.QkDim();
    const std::int64_t value_width = c_.heads * c_.v_dim;
    const Value up = b_.Reshape(b_.Linear(cn, M(a.kv_b), act_),
                                {kTokens, Const(c_.heads), Const(c_.nope_dim + c_.v_dim)});
    const auto parts = b_.Split(up, {c_.nope_dim, c_.v_dim / 2, c_.v_dim - c_.v_dim / 2});
    const Value k = b_.Concat(parts[0], b_.Broadcast(k_rotary, c_.heads));
    const Value v = b_.Concat(parts[1], parts[2]);  // packs them
    const Value keys = b_.KvWrite(b_.Reshape(k, {kTokens, Const(key_width)}),
                                  b_.State(a.name + ".keys", act_, o_.context, key_width));
    const Value values = b_.KvWrite(b_.Reshape(v, {kTokens, Const(value_width)}),
                                    b_.State(a.name + ".values", act_, o_.context, value_width));
    return b_.GqaAttention(
        b_.Rope(q, rotation_, act_), keys, values,
        {.key_heads = c_.heads, .value_dim = c_.v_dim, .scale = c_.attention_scale}, act_);
  }

  // x + mlp(rms(x))
  Value Feed(Value x, int layer, const LayerParams& p) {
    const auto scope = b_.Site(layer, "mlp");
    const Value u = b_.RmsNorm(x, V(p.mlp_norm), c_.rms_eps, act_);
    return b_.Add(p.dense ? Mlp(u, *p.dense, kNoLimit) : Moe(u, *p.moe), x, act_);
  }

  Value Moe(Value u, const MoeParams& p) {
    const auto routed = b_.RouteSigmoid(b_.Linear(u, M(p.gate), DType::kF32), V(p.bias),
                                        {.k = c_.experts_per_token,
                                         .groups = c_.groups,
                                         .topk_groups = c_.top_groups,
                                         .normalise = true,
                                         .scale = c_.routed_scale});
    const Value sparse = Experts(u, routed, p.experts, kNoLimit);
    return b_.Add(sparse, Mlp(u, p.shared, kNoLimit), DType::kF32);
  }

  const Config& c_;
  const Constants& constants_;
  Value rotation_ = {};
};

ModelSize Measure(const Config& c, const Weights& w, const BuildOptions& o) {
  ModelSize s;
  if (o.first_layer == 0) s.AddEmbedding(w.embed);
  if (o.end_layer == c.layers) {
    s.Add(w.head);
    s.Add(w.norm);
  }
  for (const LayerParams& l : StageLayers(w.layers, o)) {
    const AttentionParams& a = l.attn;
    for (const MatrixParam* m : {&a.q_a, &a.q_b, &a.kv_a, &a.kv_b, &a.o}) s.Add(*m);
    for (const VectorParam* v : {&l.attn_norm, &l.mlp_norm, &a.q_a_norm, &a.kv_a_norm}) s.Add(*v);
    if (l.dense) s.Add(*l.dense);
    if (!l.moe) continue;
    s.Add(l.moe->gate);
    s.Add(l.moe->bias);
    s.Add(l.moe->experts, c.experts_per_token);
    s.Add(l.moe->shared);
  }
  return s;
}

// Heads of the layers of a stage, at the place of each layer.
Status CutLayers(const Config& c, const Weights& w, const BuildOptions& o,
                 std::vector<AbsorbedParams>& layers) {
  layers.resize(w.layers.size());
  for (auto l = static_cast<std::size_t>(o.first_layer); l < static_cast<std::size_t>(o.end_layer);
       ++l) {
    BK_ASSIGN_OR_RETURN(layers[l], CutHeads(c, w.layers[l].attn));
  }
  return Status::Ok();
}

}  // namespace

Result<BuiltModel> Build(const Config& config, const Weights& weights,
                         const BuildOptions& options) {
  const auto constants = std::make_shared<Constants>();
  const RopeConfig& rope = config.rope;
  constants->frequency =
      RopeFrequencies(config.rope_dim, rope.theta, rope.yarn ? &*rope.yarn : nullptr);
  BK_ASSIGN_OR_RETURN(BuildOptions o, ResolveStage(options, config.layers));
  o.draft = false;
  BuiltModel model;
  if (o.mla != MlaForm::kExpanded) {
    const Status cut = CutLayers(config, weights, o, constants->absorbed);
    const bool may_expand = o.mla == MlaForm::kAuto && cut.code() == StatusCode::kUnsupported;
    if (!cut.ok() && !may_expand) return cut;
    o.mla = cut.ok() ? MlaForm::kAbsorbed : MlaForm::kExpanded;
    if (!cut.ok()) {
      constants->absorbed.clear();
      model.notes.push_back(fmt::format(
          "keys and values of every head are cached, {} channels a layer instead of {}: {}",
          config.heads * (config.QkDim() + config.v_dim), config.LatentDim(), cut.message()));
    }
  }
  BK_ASSIGN_OR_RETURN(model.trunk, Writer(config, o, *constants).Write(weights));
  model.trunk_layers = DescribeTrunk(
      "deepseek_v3", o, config.layers,
      [&](std::int64_t l) -> std::string { return l < config.dense_layers ? "dense" : "experts"; });
  model.vocab = config.vocab;
  model.layers = config.layers;
  model.size = Measure(config, weights, o);
  model.fp8_activations = config.quantisation.token_activations;
  model.constants = constants;
  return model;
}

}  // namespace birkhoff::models::deepseek_v3
