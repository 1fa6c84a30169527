#include "models/qwen3/build.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/graph_writer.h"
#include "models/rope_frequencies.h"
#include "models/stage.h"

namespace birkhoff::models::qwen3 {
namespace {

using graph::Value;
using ops::Const;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// Member functions are the formulas of docs/architecture.md, "Qwen3". Projections that feed a norm
// or a sum stay f32: what is rounded to bf16 is the input of each linear layer, query, key and
// value, gate and up, and the stream x once after each layer's half.
class Writer : GraphWriter {
 public:
  Writer(const Config& config, const BuildOptions& options, std::span<const double> frequency)
      : GraphWriter(options), c_(config) {
    const auto scope = b_.Site("positions");
    rotation_ = RopeTable(b_.Frequency("rope", frequency));
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
  // rope(rms of each head)
  Value Heads(Value x, std::int64_t heads, const VectorParam& norm) {
    const Value split = b_.Reshape(x, {kTokens, Const(heads), Const(c_.head_dim)});
    return b_.Rope(b_.RmsNorm(split, V(norm), c_.rms_eps, DType::kF32), rotation_, act_,
                   /*inverse=*/false, RopePairing::kHalf);
  }

  // x + o_proj attention(rms(x))
  Value Attend(Value x, int layer, const LayerParams& p) {
    const auto scope = b_.Site(layer, "attn");
    const std::int64_t width = c_.kv_heads * c_.head_dim;
    const Value u = b_.RmsNorm(x, V(p.attn_norm), c_.rms_eps, act_);
    const Value q = Heads(b_.Linear(u, M(p.q), DType::kF32), c_.heads, p.q_norm);
    const Value k = Heads(b_.Linear(u, M(p.k), DType::kF32), c_.kv_heads, p.k_norm);
    const Value v = b_.Linear(u, M(p.v), act_);
    const Value keys = b_.KvWrite(b_.Reshape(k, {kTokens, Const(width)}),
                                  b_.State(p.name + ".keys", act_, o_.context, width));
    const Value values = b_.KvWrite(v, b_.State(p.name + ".values", act_, o_.context, width));
    const Value o = b_.GqaAttention(
        q, keys, values,
        {.key_heads = c_.kv_heads, .value_dim = c_.head_dim, .scale = c_.attention_scale}, act_);
    const Value flat = b_.Reshape(o, {kTokens, Const(c_.heads * c_.head_dim)});
    return b_.Add(b_.Linear(flat, M(p.o), DType::kF32), x, act_);
  }

  // x + mlp(rms(x))
  Value Feed(Value x, int layer, const LayerParams& p) {
    const auto scope = b_.Site(layer, "mlp");
    return b_.Add(Mlp(b_.RmsNorm(x, V(p.mlp_norm), c_.rms_eps, act_), p.mlp, kNoLimit), x, act_);
  }

  const Config& c_;
  Value rotation_ = {};
};

// The stage. Tied, the one matrix is counted once; a token reads a row of it and all of it.
ModelSize Measure(const Config& c, const Weights& w, const BuildOptions& o) {
  ModelSize s;
  const bool embedding = o.first_layer == 0;
  if (embedding) s.AddEmbedding(w.embed);
  if (o.end_layer == c.layers) {
    if (c.tied && embedding) {
      s.bytes_per_token += w.head.m.bytes();
    } else {
      s.Add(w.head);
    }
    s.Add(w.norm);
  }
  for (const LayerParams& l : StageLayers(w.layers, o)) {
    for (const MatrixParam* m : {&l.q, &l.k, &l.v, &l.o}) s.Add(*m);
    for (const VectorParam* v : {&l.attn_norm, &l.mlp_norm, &l.q_norm, &l.k_norm}) s.Add(*v);
    s.Add(l.mlp);
  }
  return s;
}

}  // namespace

Result<BuiltModel> Build(const Config& config, const Weights& weights,
                         const BuildOptions& options) {
  const RopeConfig& rope = config.rope;
  const auto frequency = std::make_shared<const std::vector<double>>(
      RopeFrequencies(config.head_dim, rope.theta, rope.yarn ? &*rope.yarn : nullptr));
  BK_ASSIGN_OR_RETURN(BuildOptions o, ResolveStage(options, config.layers));
  o.draft = false;
  BuiltModel model;
  BK_ASSIGN_OR_RETURN(model.trunk, Writer(config, o, *frequency).Write(weights));
  model.trunk_layers =
      DescribeTrunk("qwen3", o, config.layers, [](std::int64_t) -> std::string { return "dense"; });
  model.vocab = config.vocab;
  model.layers = config.layers;
  model.size = Measure(config, weights, o);
  model.fp8_activations = config.quantisation.token_activations;
  model.constants = frequency;
  return model;
}

}  // namespace birkhoff::models::qwen3
