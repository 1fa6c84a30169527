// A boundary whose h is quantised for FP8 layers.
//
//   mhc_boundary --> ..., h --> quantise --> q, scale  =>  mhc_boundary --> ..., h, q, scale
//
// h stays a result: others may read it.
//
// Numerics  the same bits: what is quantised is the rounded h.
// Pays      everywhere: h is not read again. But on an H200 not for groups of 128 at H = 5120 and
//           7168 from 128 tokens on (docs/notes/mhc.md).
#include "birkhoff/ops/fp8.h"
#include "graph/passes/recipes/fold_quant.h"
#include "graph/passes/recipes/mhc_sites.h"
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindBoundary(PatternBuilder& b) {
  const MhcExample in(b);
  const MhcBoundaryResult r =
      b.MhcBoundary(in.x, in.streams, in.post, in.comb, SiteExample(b), {}, NormExample(b), 0);
  CaptureConstants(b, r.streams);
  b.Capture(r.streams, "norm_eps", "norm_eps");
  for (const Value v : {r.streams, r.next.pre, r.next.post, r.next.comb, r.h}) b.Out(v);
  const Quantised q = QuantiseExample(b, r.h);
  b.Out(q.q);
  b.Out(q.scale);
}

Refusal NeedsGroups(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  const ops::ValueType& X = graph[binding.values[static_cast<std::size_t>(pattern.out[0].id)]].type;
  if (X.dtype != DType::kBF16) return Refusal("needs streams in bf16, got " + X.ToString());
  const std::int64_t group = binding.Int("group");
  const auto floor = static_cast<float>(binding.Number("floor"));
  if ((group == 32 || group == 128) && floor == kFp8GroupFloor) return {};
  return Refusal("needs groups of 32 or 128 with the floor of blocks, got " +
                 std::to_string(group) + " with " + std::to_string(binding.Number("floor")));
}

std::vector<Value> EmitBoundary(Emitter& e) {
  return e.Op(
      ops::kMhcBoundary,
      {e["x"], e["streams"], e["post"], e["comb"], e["fn"], e["base"], e["scale"], e["norm"]},
      BoundaryAttributes(e.binding(), e.binding().Number("norm_eps"), e.binding().Int("group"),
                         e.binding().Int("scale")));
}

}  // namespace

const Recipe kFoldQuantMhc = {.name = "fold_quant.mhc",
                              .phase = Phase::kFoldQuant,
                              .level = Level::kO1,
                              .pattern = FindBoundary,
                              .guard = NeedsGroups,
                              .emit = EmitBoundary};

}  // namespace birkhoff::graph
