// The gate of an MLP whose product is quantised for an FP8 layer, and read by nobody else.
//
//   gate, up --> swiglu --> h --> quantise --> q, scale     =>     swiglu_quantise --> q, scale
//
// Numerics  the same bits: what is quantised is the rounded h.
// Pays      everywhere: h is neither written nor read.
#include "graph/passes/recipes/fold_quant.h"
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindGate(PatternBuilder& b) {
  const auto in = [&](const char* name) {
    return b.In(name, DType::kBF16, {{1, ops::Symbol::kTokens}, ops::Const(64)});
  };
  const Value h = b.Capture(b.Swiglu(in("gate"), in("up"), 0), "limit", "limit");
  const Quantised q = QuantiseExample(b, h);
  b.Out(q.q);
  b.Out(q.scale);
}

std::vector<Value> EmitGate(Emitter& e) {
  return e.Op(ops::kSwigluQuantise, {e["gate"], e["up"]},
              WithQuantiser(e.binding(), {{"limit", e.binding().Number("limit")}}));
}

}  // namespace

const Recipe kFoldQuantSwiglu = {.name = "fold_quant.swiglu",
                                 .phase = Phase::kFoldQuant,
                                 .level = Level::kO1,
                                 .pattern = FindGate,
                                 .emit = EmitGate};

}  // namespace birkhoff::graph
