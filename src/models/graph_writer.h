// What the graphs of all models have in common: inputs, parameters, gated units and the head.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "graph/builder.h"
#include "models/built_model.h"
#include "models/params.h"

namespace birkhoff::models {

inline constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
inline constexpr ops::Extent kRows = {1, ops::Symbol::kRows};

class GraphWriter {
 protected:
  using Value = graph::Value;

  explicit GraphWriter(const BuildOptions& options) : o_(options), act_(options.activation) {
    const auto scope = b_.Site("positions");
    ids_ = b_.Input("ids", DType::kI32, {kTokens});
    positions_ = b_.Input("positions", DType::kI32, {kTokens});
    rows_ = b_.Input("rows", DType::kI32, {kRows});
  }

  // The layers of the stage, between the embedding and the head or other stages. Streams are [T,
  // ...] of this shape.
  template <class First, class Layer, class Last>
  Result<graph::Graph> Stage(std::int64_t layers, const std::vector<ops::Extent>& streams,
                             First first, Layer layer, Last last) {
    Value x = o_.first_layer == 0 ? first() : b_.Input("streams", act_, streams);
    for (std::int64_t l = o_.first_layer; l < o_.end_layer; ++l) {
      x = layer(x, l);
      if (o_.taps) b_.Output(fmt::format("streams.{}", l), x);
    }
    if (o_.draft || o_.end_layer < layers) b_.Output("streams", Handed(x, streams));
    if (o_.end_layer == layers) last(x);
    return std::move(b_).Finish();
  }

  Value V(const VectorParam& p) { return b_.Vector(p.name, p.data, p.shape); }
  Value M(const MatrixParam& p) { return b_.Matrix(p.name, &p.m); }

  // Angles in double in the verification mode, else f32 products as the models were trained with.
  bool Precise() const { return act_ == DType::kF32; }
  Value RopeTable(Value frequency) { return b_.RopeTable(positions_, frequency, Precise()); }

  Value Embed(const MatrixParam& embed) {
    const auto scope = b_.Site("embed");
    return b_.Embedding(ids_, M(embed), act_);
  }

  // w2 (silu(w1 u) * (w3 u)) in f32, with gate and up clamped at `limit`.
  Value Mlp(Value u, const MlpParams& p, double limit) {
    const Value gate = b_.Linear(u, M(p.w1), act_);
    const Value up = b_.Linear(u, M(p.w3), act_);
    return b_.Linear(b_.Swiglu(gate, up, limit), M(p.w2), DType::kF32);
  }

  Value Experts(Value u, const graph::Routed& routed, const ExpertParams& p, double limit) {
    return b_.Experts(u, routed, b_.Matrices(p.name + ".w1", p.w1),
                      b_.Matrices(p.name + ".w3", p.w3), b_.Matrices(p.name + ".w2", p.w2), limit);
  }

  void Logits(Value h, const VectorParam& norm, const MatrixParam& head, double eps) {
    b_.Output("logits", b_.Linear(b_.RmsNorm(h, V(norm), eps, act_), M(head), DType::kF32));
  }

  // x, made by a node even where a stage has none: an output is never an input.
  Value Handed(Value x, const std::vector<ops::Extent>& streams) {
    if (o_.first_layer == 0 || o_.first_layer < o_.end_layer) return x;
    const auto scope = b_.Site("streams");
    return b_.Reshape(x, streams);
  }

  const BuildOptions& o_;
  const DType act_;
  graph::Builder b_ = {};
  Value ids_ = {};
  Value positions_ = {};
  Value rows_ = {};
};

}  // namespace birkhoff::models
