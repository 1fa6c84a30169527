// A boundary whose h is quantised for FP8 layers.
//
//   mhc_boundary --> ..., h --> quantise --> q, scale  =>  mhc_boundary --> ..., h, q, scale
//
// h stays a result: others may read it.
//
// Numerics  the same bits: what is quantised is the rounded h.
// Pays      h is not read again. On an H200 in groups of 32, or at H = 4096: in groups of 128 at
//           H = 7168, T = 4096 it takes 272 us, the two ops one after another 218.
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
  const ops::ValueType& X = graph[binding[pattern.out[0]]].type;
  if (X.dtype != DType::kBF16) return Refusal("needs streams in bf16, got " + X.ToString());
  const std::int64_t group = binding.Int("group");
  const auto floor = static_cast<float>(binding.Number("floor"));
  if ((group == 32 || group == 128) && floor == kFp8GroupFloor) return {};
  return Refusal("needs groups of 32 or 128 with the floor of blocks, got " +
                 std::to_string(group) + " with " + std::to_string(binding.Number("floor")));
}

// At 5120 and 7168 two blocks of the Hopper kernel share some groups of 128 (docs/notes/mhc.md).
Refusal Pays(const Device& device, const Graph& graph, const Binding& binding,
             const Pattern& pattern) {
  const std::int64_t hidden = graph[binding[pattern.out[0]]].type.shape.back().times;
  if (device.sm != 90 || binding.Int("group") == 32 || (hidden != 5120 && hidden != 7168))
    return {};
  return Refusal("does not pay on " + device.gpu + " in groups of 128 at H = " +
                 std::to_string(hidden) + ": 272 us for 218 at H = 7168, T = 4096, on an H200");
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
                              .pays = Pays,
                              .emit = EmitBoundary,
                              .needs = {"mhc_boundary_norm"}};

}  // namespace birkhoff::graph
