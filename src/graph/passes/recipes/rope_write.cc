// What latent attention keeps of a token: the normed latent beside a rotary key.
//
//   k_pe --> rope -+
//   c ------------ +-> concat --> kv_write --> latent'     =>     rope_write --> latent'
//
// Numerics  the same bits.
// Pays      everywhere: one launch for three, the row is written where it stays.
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

using ops::Const;

constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};

void FindRow(PatternBuilder& b) {
  const Value c = b.In("c", DType::kBF16, {kTokens, Const(32)});
  const Value k_pe = b.In("k_pe", DType::kF32, {kTokens, Const(16)});
  const Value table = b.In("table", DType::kF32, {kTokens, Const(8), Const(2)});
  const Value turned = b.Rope(k_pe, table, DType::kBF16);
  b.Capture(b.Capture(turned, "out", "out"), "pairing", "pairing");
  b.Out(b.KvWrite(b.Concat(c, turned), b.State("latent", DType::kBF16, 8, 48)));
}

// The rotation must be of all that is not the latent.
Refusal NeedsWholeRotation(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  ops::ValueType k_pe;
  ops::ValueType table;
  for (std::size_t v = 0; v < binding.values.size(); ++v) {
    if (pattern.graph.values[v].name == "k_pe") k_pe = graph[binding.values[v]].type;
    if (pattern.graph.values[v].name == "table") table = graph[binding.values[v]].type;
  }
  if (k_pe.shape.size() == 2 && k_pe.shape[1] == Const(2 * table.shape[1].times)) return {};
  return Refusal("needs a key of twice " + table.ToString() + ", got " + k_pe.ToString());
}

std::vector<Value> EmitRow(Emitter& e) {
  return e.Op(ops::kRopeWrite, {e["c"], e["k_pe"], e["table"], e["latent"]},
              {{"pairing", e.binding().Int("pairing")}});
}

}  // namespace

// How often it fits depends on the form of attention, absorbed or expanded: not expected.
const Recipe kRopeWriteRecipe = {.name = "rope_write",
                                 .phase = Phase::kState,
                                 .level = Level::kO1,
                                 .pattern = FindRow,
                                 .guard = NeedsWholeRotation,
                                 .emit = EmitRow};

}  // namespace birkhoff::graph
