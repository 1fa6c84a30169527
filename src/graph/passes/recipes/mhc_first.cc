// The first site of an mHC model: its streams are equal, so one copy serves for all.
//
//   x --> broadcast --> X [T, hc, H]     =>     x --> spread --> X, a view with stream stride 0
//
// Numerics  the same bits: coefficients, collapse and the next mix read the same values.
// Pays      everywhere: hc copies less to write, and one row is read where hc were.
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindBroadcast(PatternBuilder& b) {
  const Value x = b.In("x", DType::kBF16, {{1, ops::Symbol::kTokens}, ops::Const(64)});
  b.Out(b.Capture(b.Broadcast(x, 4), "copies", "copies"));
}

bool TakesSpread(const ops::OpDef& op, int operand) {
  for (const ops::OpDef::Takes& t : op.takes) {
    if (t.operand == operand && t.layout == ops::Layout::kSpread) return true;
  }
  return false;
}

Refusal NeedsTakers(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  const Value X = binding[pattern.out[0]];
  for (const Output& o : graph.outputs) {
    if (o.value == X) return Refusal("needs streams that are no output, got \"" + o.name + "\"");
  }
  for (const Use& use : graph.Users(X)) {
    const ops::OpDef& op = *graph.At(use.node).op;
    if (!TakesSpread(op, use.slot))
      return Refusal("needs readers of spread streams, got " + std::string(op.name));
  }
  return {};
}

std::vector<Value> EmitSpread(Emitter& e) {
  return e.Op(ops::kSpread, {e["x"]}, {{"copies", e.binding().Int("copies")}});
}

// Labelled with the embedding, which is outside of layers. Where the first layer is the last, rows
// that need logits are taken of X, which only whole streams can give.
int Expected(const LayerInfo& layer) {
  const bool takes_rows = layer.layers == 1 && layer.has_head && !layer.gives_streams;
  const bool has_first = layer.layer < 0 && layer.has_embedding && layer.layers > 0 && !takes_rows;
  return has_first && layer.model == "deepseek_v4" ? 1 : 0;
}

}  // namespace

const Recipe kMhcFirst = {.name = "mhc_first",
                          .level = Level::kO1,
                          .pattern = FindBroadcast,
                          .guard = NeedsTakers,
                          .emit = EmitSpread,
                          .expected = Expected};

}  // namespace birkhoff::graph
