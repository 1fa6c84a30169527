// DeepSeek-V4's queries: each head is normed, without a weight, and turned.
//
//   x [T, H, D] --> rms_norm (f32) --> rope --> q     =>     x --> norm_rope --> q
//
// Numerics  the same bits: between the two lies f32 either way, and one rounding is behind both.
// Pays      everywhere: 8 H D bytes a token are neither written nor read.
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};

void FindNormRope(PatternBuilder& b) {
  const Value x = b.In("x", DType::kBF16, {kTokens, ops::Const(2), ops::Const(64)});
  const Value table = b.In("table", DType::kF32, {kTokens, ops::Const(8), ops::Const(2)});
  const Value norm = b.Capture(b.RmsNorm(x, 0, DType::kF32), "eps", "eps");
  const Value q = b.Rope(norm, table, DType::kBF16);
  b.Out(b.Capture(b.Capture(q, "out", "out"), "pairing", "pairing"));
}

std::vector<Value> EmitNormRope(Emitter& e) {
  return e.Op(ops::kNormRope, {e["x"], e["table"]},
              {{"eps", e.binding().Number("eps")},
               {"out", e.binding().Int("out")},
               {"pairing", e.binding().Int("pairing")}});
}

Refusal NeedsHeads(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  const ops::ValueType& q = graph[binding[pattern.out[0]]].type;
  if (q.shape.size() == 3) return {};
  return Refusal("needs heads of rank 3, got " + q.ToString());
}

int Expected(const LayerInfo& layer) {
  return layer.layer >= 0 && layer.model == "deepseek_v4" ? 1 : 0;
}

}  // namespace

const Recipe kNormRopeRecipe = {.name = "norm_rope",
                                .level = Level::kO1,
                                .pattern = FindNormRope,
                                .guard = NeedsHeads,
                                .emit = EmitNormRope,
                                .expected = Expected};

}  // namespace birkhoff::graph
