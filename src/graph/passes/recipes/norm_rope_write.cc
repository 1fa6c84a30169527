// Qwen3's way into attention: per-head norms of q and k, rotation, and the write of k and v.
//
//   q --> rms_norm --> rope ---------------------------> q'      -+
//   k --> rms_norm --> rope --> reshape --> kv_write --> keys'    +-> gqa_attention (stays)
//   v ---------------------------------- -> kv_write --> values' -+
//     =>  norm_rope_write --> q', keys', values'
//
// Numerics  the same bits: what lies between is f32, k is rounded once, v is moved.
// Pays      everywhere: one launch for six, and k is not written twice.
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

using ops::Const;

constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
constexpr std::int64_t kDim = 16;

void FindEntry(PatternBuilder& b) {
  const Value table = b.In("table", DType::kF32, {kTokens, Const(kDim / 2), Const(2)});
  const auto turned = [&](const std::string& name, std::int64_t heads) {
    const Value x = b.In(name, DType::kF32, {kTokens, Const(heads), Const(kDim)});
    const Value norm = b.RmsNorm(x, b.Weight(name + "_norm", {kDim}), 0, DType::kF32);
    b.Capture(norm, "eps", name + "_eps");
    const Value r = b.Rope(norm, table, DType::kBF16);
    b.Capture(b.Capture(r, "out", name + "_out"), "pairing", "pairing");
    return r;
  };
  const Value q = turned("q", 4);
  const Value flat = b.Reshape(turned("k", 2), {kTokens, Const(2 * kDim)});
  b.Capture(flat, "times_1", "width");
  const Value v = b.In("v", DType::kBF16, {kTokens, Const(2 * kDim)});
  const Value keys = b.KvWrite(flat, b.State("keys", DType::kBF16, 8, 2 * kDim));
  const Value values = b.KvWrite(v, b.State("values", DType::kBF16, 8, 2 * kDim));
  const Value o = b.Keep(b.GqaAttention(q, keys, values, {2, kDim, 1}, DType::kBF16));
  for (const char* name : {"key_heads", "value_dim", "scale"}) b.Capture(o, name, name);
  b.Capture(o, "out", "o_out");
  for (const Value made : {q, keys, values}) b.Out(made);
}

std::vector<Value> EmitEntry(Emitter& e) {
  return e.Op(
      ops::kNormRopeWrite,
      {e["q"], e["k"], e["v"], e["table"], e["q_norm"], e["k_norm"], e["keys"], e["values"]},
      {{"q_eps", e.binding().Number("q_eps")},
       {"k_eps", e.binding().Number("k_eps")},
       {"out", e.binding().Int("q_out")},
       {"pairing", e.binding().Int("pairing")}});
}

int Expected(const LayerInfo& layer) { return layer.layer >= 0 && layer.model == "qwen3" ? 1 : 0; }

}  // namespace

const Recipe kNormRopeWriteRecipe = {.name = "norm_rope_write",
                                     .phase = Phase::kState,
                                     .level = Level::kO1,
                                     .pattern = FindEntry,
                                     .emit = EmitEntry,
                                     .expected = Expected};

}  // namespace birkhoff::graph
