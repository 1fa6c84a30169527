// The end of an mHC model: last mix, head and final norm.
//
//   y, X, post, comb --> mhc_post --> X' --> mhc_head --> rms_norm --> h
//     =>  mhc_tail --> X', h
//
// The rows that need logits were taken before (early_rows.h), unless X' of all tokens is wanted
// too (by a draft layer or the next stage): then the gather stands between and nothing is replaced.
//
// Numerics  the same bits in a class of bits.
// Pays      X' is not read again, 8 H bytes a row. On an H200 at H = 4096; at H = 7168 the row for
//           tensor cores takes 30 us for one token, its parts one after another 27.
#include "graph/passes/recipes/mhc_sites.h"
#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

void FindTail(PatternBuilder& b) {
  const MhcExample in(b);
  const Value streams = b.MhcPost(in.x, in.streams, in.post, in.comb);
  const Value head = b.MhcHead(streams, HeadExample(b), 0, 0);
  b.Capture(b.Capture(head, "rms_eps", "rms_eps"), "eps", "eps");
  const Value h = b.RmsNorm(head, NormExample(b), 0, DType::kBF16);
  b.Capture(b.Capture(h, "eps", "norm_eps"), "out", "out");
  b.Out(streams);
  b.Out(h);
}

Refusal Pays(const Device& device, const Graph& graph, const Binding& binding,
             const Pattern& pattern) {
  const ops::ValueType& streams = graph[binding[pattern.out[0]]].type;
  const std::int64_t hidden = streams.shape.back().times;
  if (device.sm < 80 || streams.dtype != DType::kBF16 || hidden < 7168) return {};
  return Refusal("does not pay on " + device.gpu + " at H = " + std::to_string(hidden) +
                 ": 30 us for 27 at H = 7168, one row, on an H200");
}

std::vector<Value> EmitTail(Emitter& e) {
  return e.Op(
      ops::kMhcTail,
      {e["x"], e["streams"], e["post"], e["comb"], e["fn"], e["base"], e["scale"], e["norm"]},
      {{"rms_eps", e.binding().Number("rms_eps")},
       {"eps", e.binding().Number("eps")},
       {"norm_eps", e.binding().Number("norm_eps")}});
}

int Expected(const LayerInfo& layer) {
  const bool has_last = layer.layer < 0 && layer.has_head && layer.layers > 0;
  return has_last && layer.model == "deepseek_v4" && !layer.gives_streams ? 1 : 0;
}

}  // namespace

const Recipe kMhcTailRecipe = {.name = "mhc_tail",
                               .level = Level::kO1,
                               .pattern = FindTail,
                               .guard = NeedsOneType,
                               .pays = Pays,
                               .emit = EmitTail,
                               .expected = Expected};

}  // namespace birkhoff::graph
