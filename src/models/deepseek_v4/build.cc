#include "models/deepseek_v4/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/graph_writer.h"
#include "models/model_size.h"
#include "models/rope_frequencies.h"
#include "models/stage.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

using graph::Value;
using ops::Const;
using ops::Extent;
using ops::Symbol;

constexpr std::string_view kModel = "deepseek_v4";

struct Frequencies {
  std::vector<double> plain = {};       // layers without compression
  std::vector<double> compressed = {};  // layers with it; empty when there are none
};

Frequencies MakeFrequencies(const Config& c) {
  Frequencies f;
  f.plain = RopeFrequencies(c.rope_dim, c.rope_theta, nullptr);
  if (c.compress_rope_theta == 0) return f;
  f.compressed = RopeFrequencies(c.rope_dim, c.compress_rope_theta, c.yarn ? &*c.yarn : nullptr);
  return f;
}

// Writes one graph. Member functions are the formulas of docs/architecture.md, "DeepSeek-V4".
class Writer : GraphWriter {
 public:
  Writer(const Config& config, const BuildOptions& options, const Frequencies& frequencies)
      : GraphWriter(options), c_(config) {
    const auto scope = b_.Site("positions");
    plain_ = RopeTable(b_.Frequency("rope.plain", frequencies.plain));
    if (frequencies.compressed.empty()) return;
    compressed_frequency_ = b_.Frequency("rope.compressed", frequencies.compressed);
    compressed_ = RopeTable(compressed_frequency_);
  }

  Result<graph::Graph> Trunk(const Weights& w) {
    return Stage(
        c_.layers, StreamsShape(), [&] { return Streams(w.embed); },
        [&](Value X, std::int64_t l) {
          return Layer(X, static_cast<int>(l), w.layers[static_cast<std::size_t>(l)]);
        },
        [&](Value X) { Head(X, w.hc_head, w.norm, w.head); });
  }

  // Row t is given the streams of token t and the id of token t + 1, and predicts token t + 2.
  Result<graph::Graph> Draft(const MtpParams& p, const Weights& w) {
    const Value Y = Layer(DraftStreams(p, w.embed), static_cast<int>(c_.layers), p.layer);
    Head(Y, p.hc_head, p.norm, w.head);
    return std::move(b_).Finish();
  }

 private:
  graph::MhcParameters Hc(const HcParams& p) { return {V(p.fn), V(p.base), V(p.scale)}; }

  std::vector<Extent> StreamsShape() const {
    return {kTokens, Const(c_.hc_mult), Const(c_.hidden)};
  }

  Value Streams(const MatrixParam& embed) {
    const auto scope = b_.Site("embed");
    return b_.Broadcast(Embed(embed), static_cast<int>(c_.hc_mult));
  }

  // Y_j = e_proj rms(embed(id); enorm) + h_proj rms(X_j; hnorm)
  Value DraftStreams(const MtpParams& p, const MatrixParam& embed) {
    const auto scope = b_.Site("mtp");
    const Value X = b_.Input("streams", act_, StreamsShape());
    const Value e = b_.RmsNorm(b_.Embedding(ids_, M(embed), act_), V(p.enorm), c_.rms_eps, act_);
    const Value h = b_.RmsNorm(X, V(p.hnorm), c_.rms_eps, act_);
    const Value each = b_.Reshape(h, {Extent{c_.hc_mult, Symbol::kTokens}, Const(c_.hidden)});
    const Value from_streams =
        b_.Reshape(b_.Linear(each, M(p.h_proj), DType::kF32), StreamsShape());
    return b_.Add(b_.Linear(e, M(p.e_proj), DType::kF32), from_streams, act_);
  }

  Value Layer(Value X, int layer, const LayerParams& p) {
    X = Site(X, layer, "attn", p.hc_attn, p.attn_norm,
             [&](Value u) { return Attention(u, layer, p.attn); });
    return Site(X, layer, "ffn", p.hc_ffn, p.ffn_norm, [&](Value u) { return Moe(u, p.ffn); });
  }

  // X'_m = post_m y + sum_j comb_jm X_j,  y = F(rms(sum_j pre_j X_j))
  template <class F>
  Value Site(Value X, int layer, std::string_view name, const HcParams& hc, const VectorParam& norm,
             F sublayer) {
    const auto scope = b_.Site(layer, name);
    const auto k = b_.MhcCoeffs(X, Hc(hc),
                                {.iterations = static_cast<int>(c_.sinkhorn_iters),
                                 .rms_eps = c_.rms_eps,
                                 .pre_eps = c_.hc_eps,
                                 .sinkhorn_eps = c_.hc_eps,
                                 .post_mult = 2});
    const Value u = b_.RmsNorm(b_.MhcCollapse(X, k.pre), V(norm), c_.rms_eps, act_);
    return b_.MhcPost(sublayer(u), X, k.post, k.comb);
  }

  std::string Name(int layer, std::string_view what) const {
    return fmt::format("layers.{}.{}", layer, what);
  }

  std::int64_t MaxEntries(std::int64_t ratio) const { return ratio == 0 ? 0 : o_.context / ratio; }

  Value Attention(Value u, int layer, const AttentionParams& p) {
    const std::int64_t r = c_.Ratio(layer);
    const Value rotation = r == 0 ? plain_ : compressed_;
    const std::vector<Value> low =
        b_.Split(b_.Linear(u, {M(p.wq_a), M(p.wkv)}, DType::kF32), {c_.q_lora, c_.head_dim});
    const Value qr = b_.RmsNorm(low[0], V(p.q_norm), c_.rms_eps, act_);
    const Value heads =
        b_.Reshape(b_.Linear(qr, M(p.wq_b), act_), {kTokens, Const(c_.heads), Const(c_.head_dim)});
    const Value q = b_.Rope(b_.RmsNorm(heads, c_.rms_eps, DType::kF32), rotation, act_);
    const Value kv =
        b_.Rope(b_.RmsNorm(low[1], V(p.kv_norm), c_.rms_eps, DType::kF32), rotation, act_);

    const Value window =
        b_.State(Name(layer, "window"), act_, c_.window + o_.max_rewind, c_.head_dim);
    graph::AttentionOperands in{.q = q, .kv = kv, .window = window, .sink = V(p.sink)};
    if (p.compressor) in.entries = Compress(u, layer, "compressor", *p.compressor, c_.head_dim);
    if (p.indexer) in.selected = Select(u, qr, layer, *p.indexer);
    const Value o = b_.Attention(in,
                                 {.window = c_.window,
                                  .ratio = r,
                                  .max_entries = MaxEntries(r),
                                  .scale = 1 / std::sqrt(static_cast<double>(c_.head_dim))},
                                 DType::kF32);
    b_.KvWrite(kv, window);

    const Value back = b_.Rope(o, rotation, act_, /*inverse=*/true);
    const Value flat = b_.Reshape(back, {kTokens, Const(c_.heads * c_.head_dim)});
    const Value z = b_.Linear(flat, M(p.wo_a), act_, static_cast<int>(c_.o_groups));
    return b_.Linear(z, M(p.wo_b), act_);
  }

  // The compressed history after this step's tokens: [entries, width].
  Value Compress(Value u, int layer, std::string_view what, const CompressorParams& p,
                 std::int64_t width) {
    const std::int64_t r = c_.Ratio(layer);
    const bool overlap = r == 4;
    const std::int64_t c = overlap ? 2 : 1;
    const std::string name = Name(layer, what);
    const std::int64_t capacity = c * r + o_.max_rewind;
    const std::int64_t entries = std::max<std::int64_t>(1, MaxEntries(r));
    return b_
        .Compress({.k = b_.Linear(u, M(p.wkv), DType::kF32),
                   .g = b_.Linear(u, M(p.wgate), DType::kF32),
                   .ape = V(p.ape),
                   .norm = V(p.norm),
                   .frequency = compressed_frequency_,
                   .state = {.k_ring = b_.State(name + ".k", DType::kF32, capacity, c * width),
                             .z_ring = b_.State(name + ".z", DType::kF32, capacity, c * width),
                             .entries = b_.State(name + ".entries", act_, entries, width)}},
                  overlap, Precise(), c_.rms_eps)
        .entries;
  }

  // The compressed entries that each token attends to: i32 [T, topk].
  Value Select(Value u, Value qr, int layer, const IndexerParams& p) {
    const Value q = b_.Reshape(b_.Linear(qr, M(p.wq_b), DType::kF32),
                               {kTokens, Const(c_.index_heads), Const(c_.index_dim)});
    const Value weight = b_.Linear(u, M(p.weights_proj), DType::kF32);
    const Value keys = Compress(u, layer, "indexer", p.compressor, c_.index_dim);
    const double scale =
        1 / std::sqrt(static_cast<double>(c_.index_dim) * static_cast<double>(c_.index_heads));
    return b_.IndexTopk(
        b_.Rope(q, compressed_, act_), weight, keys,
        {.ratio = 4, .topk = c_.index_topk, .max_entries = MaxEntries(4), .scale = scale});
  }

  Value Moe(Value u, const MoeParams& p) {
    const double limit =
        c_.swiglu_limit ? *c_.swiglu_limit : std::numeric_limits<double>::infinity();
    const Value logits = b_.Linear(u, M(p.gate), DType::kF32);
    const auto routed =
        p.tid2eid != nullptr
            ? b_.RouteByTable(
                  logits,
                  b_.Table(p.name + ".gate.tid2eid", p.tid2eid, c_.vocab, c_.experts_per_token),
                  ids_, c_.experts_per_token, c_.routed_scale)
            : b_.RouteTopk(logits, V(*p.bias), c_.experts_per_token, c_.routed_scale);
    const Value sparse = Experts(u, routed, p.experts, limit);
    return b_.Add(sparse, Mlp(u, p.shared, limit), act_);
  }

  void Head(Value X, const HcParams& hc, const VectorParam& norm, const MatrixParam& head) {
    const auto scope = b_.Site("head");
    const Value h = b_.MhcHead(b_.GatherRows(X, rows_), Hc(hc), c_.rms_eps, c_.hc_eps);
    Logits(h, norm, head, c_.rms_eps);
  }

  const Config& c_;
  Value plain_ = {};
  Value compressed_ = {};
  Value compressed_frequency_ = {};
};

struct Size : ModelSize {
  using ModelSize::Add;

  void Add(const HcParams& p) {
    Add(p.fn);
    Add(p.base);
    Add(p.scale);
  }
  void Add(const CompressorParams& p) {
    Add(p.wkv);
    Add(p.wgate);
    Add(p.ape);
    Add(p.norm);
  }
  void Add(const AttentionParams& p) {
    for (const MatrixParam* m : {&p.wq_a, &p.wq_b, &p.wkv, &p.wo_a, &p.wo_b}) Add(*m);
    for (const VectorParam* v : {&p.q_norm, &p.kv_norm, &p.sink}) Add(*v);
    if (p.compressor) Add(*p.compressor);
    if (!p.indexer) return;
    Add(p.indexer->wq_b);
    Add(p.indexer->weights_proj);
    Add(p.indexer->compressor);
  }
  void Add(const LayerParams& p, std::int64_t k) {
    Add(p.attn_norm);
    Add(p.ffn_norm);
    Add(p.hc_attn);
    Add(p.hc_ffn);
    Add(p.attn);
    Add(p.ffn.gate);
    if (p.ffn.bias) Add(*p.ffn.bias);
    Add(p.ffn.shared);
    Add(p.ffn.experts, k);
  }
};

// The backbone, as far as it is in the stage.
Size Measure(const Config& c, const Weights& w, const BuildOptions& o) {
  Size s;
  if (o.first_layer == 0) s.AddEmbedding(w.embed);
  if (o.end_layer == c.layers) {
    s.Add(w.head);
    s.Add(w.norm);
    s.Add(w.hc_head);
  }
  for (const LayerParams& l : StageLayers(w.layers, o)) s.Add(l, c.experts_per_token);
  return s;
}

}  // namespace

Result<BuiltModel> Build(const Config& config, const Weights& weights,
                         const BuildOptions& options) {
  BK_ASSIGN_OR_RETURN(BuildOptions o, ResolveStage(options, config.layers));
  // Drafts follow the last layer.
  o.draft = options.draft && weights.mtp.has_value() && o.end_layer == config.layers;
  const auto frequencies = std::make_shared<const Frequencies>(MakeFrequencies(config));
  const auto kind = [&](std::int64_t l) {
    return fmt::format("ratio {}{}", config.Ratio(l), config.IsHashRouted(l) ? ", hash" : "");
  };
  BuiltModel model;
  BK_ASSIGN_OR_RETURN(model.trunk, Writer(config, o, *frequencies).Trunk(weights));
  if (o.draft) {
    BK_ASSIGN_OR_RETURN(model.draft, Writer(config, o, *frequencies).Draft(*weights.mtp, weights));
    model.draft_layers =
        DescribeLayers(kModel, config.layers, config.layers + 1, kind, {.has_head = true});
  }
  model.trunk_layers = DescribeTrunk(kModel, o, config.layers, kind);
  model.vocab = config.vocab;
  model.layers = config.layers;
  model.draft_window = config.window;
  model.size = Measure(config, weights, o);
  model.constants = frequencies;
  return model;
}

}  // namespace birkhoff::models::deepseek_v4
