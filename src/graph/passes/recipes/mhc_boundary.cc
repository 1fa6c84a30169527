// What lies between two sublayers of an mHC model, inside a layer and from one to the next.
//
//   y, X, post, comb --> mhc_post --> X' -+-> mhc_coeffs --> pre', post', comb'
//                                         +-> mhc_collapse(X', pre') --> h
//     =>  mhc_boundary --> X', pre', post', comb', h
//
// What travels between sublayers afterwards is X', post' and comb' beside y.
//
// Numerics  the same bits in a class of bits: X' is rounded before anything reads it, either way.
// Pays      everywhere: 20 H bytes a token instead of 38 H (hc = 4, with the norm).
#include "graph/passes/recipes/mhc_sites.h"
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindBoundary(PatternBuilder& b) {
  const MhcExample in(b);
  const Value streams = b.MhcPost(in.x, in.streams, in.post, in.comb);
  const MhcCoefficients next = b.MhcCoeffs(streams, SiteExample(b), {});
  CaptureConstants(b, next.pre);
  b.Out(streams);
  for (const Value v : {next.pre, next.post, next.comb}) b.Out(v);
  b.Out(b.MhcCollapse(streams, next.pre));
}

std::vector<Value> EmitBoundary(Emitter& e) {
  return e.Op(ops::kMhcBoundary,
              {e["x"], e["streams"], e["post"], e["comb"], e["fn"], e["base"], e["scale"]},
              BoundaryAttributes(e.binding(), /*norm_eps=*/0));
}

}  // namespace

const Recipe kMhcBoundaryRecipe = {.name = "mhc_boundary",
                                   .level = Level::kO1,
                                   .pattern = FindBoundary,
                                   .emit = EmitBoundary,
                                   .expected = MhcBoundaries};

}  // namespace birkhoff::graph
