// The norm behind a boundary, computed while the row is still there.
//
//   mhc_boundary --> X', pre', post', comb', h;  h --> rms_norm --> u
//     =>  mhc_boundary with a norm --> X', pre', post', comb', u
//
// Numerics  fewer roundings: the class "mhc f32" still rounds h before its norm and gives the same
//           bits, "mhc bf16x2" takes the mean square of h before it is rounded (1e-4 apart, now and
//           then one ulp of u). Nothing depends on T.
// Pays      everywhere: h is neither written nor read, 4 H bytes a token.
#include "graph/passes/recipes/mhc_sites.h"
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindNorm(PatternBuilder& b) {
  const MhcExample in(b);
  const MhcBoundaryResult r =
      b.MhcBoundary(in.x, in.streams, in.post, in.comb, SiteExample(b), {}, {}, 0);
  CaptureConstants(b, r.streams);
  b.Capture(r.streams, "norm_eps", "eps without a norm");
  const Value u = b.RmsNorm(r.h, NormExample(b), 0, DType::kBF16);
  b.Capture(b.Capture(u, "eps", "norm_eps"), "out", "out");
  for (const Value v : {r.streams, r.next.pre, r.next.post, r.next.comb, u}) b.Out(v);
}

std::vector<Value> EmitNorm(Emitter& e) {
  return e.Op(
      ops::kMhcBoundary,
      {e["x"], e["streams"], e["post"], e["comb"], e["fn"], e["base"], e["scale"], e["norm"]},
      BoundaryAttributes(e.binding(), e.binding().Number("norm_eps")));
}

}  // namespace

const Recipe kMhcBoundaryNorm = {.name = "mhc_boundary_norm",
                                 .numerics = Numerics::kFewerRoundings,
                                 .pattern = FindNorm,
                                 .guard = NeedsOneType,
                                 .emit = EmitNorm,
                                 .needs = {"mhc_boundary"},
                                 .expected = MhcBoundaries};

}  // namespace birkhoff::graph
