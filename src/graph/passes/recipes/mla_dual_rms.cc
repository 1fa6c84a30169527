// The two norms of multi-head latent attention, siblings over one projection.
//
//   p --> slice --> rms_norm --> q           p --> dual_rms_norm --> q, c
//     \-> slice --> rms_norm --> c     =>      \-> slices
//
// In DeepSeek-V4 the projection is split once, [q_lora | head_dim]. In DeepSeek-V3 it is split
// twice, [q_lora | [kv_lora | rope]]: in canonical form those are columns of p too, and the rope
// part, which has no norm, is one more reader of p. The slices are kept for other readers; they
// cost nothing.
//
// Numerics  the same bits.
// Pays      where launches cost: one instead of two, side by side. vLLM claims 2 % end to end on
//           MI355X (PR 39242), sglang "minimal" on CUDA (12683).
#include <fmt/format.h>

#include "graph/passes/recipes/recipes.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};

void FindNorms(PatternBuilder& b) {
  const Value p = b.In("p", DType::kF32, {kTokens, ops::Const(96)});
  const auto side = [&](std::int64_t begin, std::int64_t width, std::string n) {
    const Value columns = b.Op(ops::kSlice, {p}, {{"begin", begin}, {"width", width}})[0];
    b.Capture(b.Capture(columns, "begin", "begin" + n), "width", "width" + n);
    const Value norm = b.RmsNorm(b.Keep(columns), b.Weight("w" + n, {width}), 0, DType::kBF16);
    b.Out(b.Capture(b.Capture(norm, "eps", "eps" + n), "out", "out" + n));
  };
  side(0, 64, "0");
  side(64, 32, "1");
}

Refusal NeedsKnownTypes(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  for (std::size_t v = 0; v < binding.values.size(); ++v) {
    if (pattern.graph.values[v].name != "p") continue;
    const ops::ValueType& p = graph[binding.values[v]].type;
    if (p.shape.size() != 2) return Refusal("needs a projection of rank 2, got " + p.ToString());
    if (p.dtype != DType::kF32 && p.dtype != DType::kBF16)
      return Refusal("needs a projection in f32 or bf16, got " + p.ToString());
  }
  return {};
}

std::vector<Value> EmitDual(Emitter& e) {
  const auto of = [&](std::string_view name) { return e.binding().Int(name); };
  const auto side = [&](std::string_view begin, std::string_view width) {
    return e.Op(ops::kSlice, {e["p"]}, {{"begin", of(begin)}, {"width", of(width)}})[0];
  };
  return e.Op(ops::kDualRmsNorm,
              {side("begin0", "width0"), side("begin1", "width1"), e["w0"], e["w1"]},
              {{"eps0", e.binding().Number("eps0")},
               {"eps1", e.binding().Number("eps1")},
               {"out0", of("out0")},
               {"out1", of("out1")}});
}

int Expected(const LayerInfo& layer) {
  return layer.layer >= 0 && layer.model.starts_with("deepseek") ? 1 : 0;
}

}  // namespace

const Recipe kMlaDualRms = {.name = "mla_dual_rms",
                            .level = Level::kO1,
                            .pattern = FindNorms,
                            .guard = NeedsKnownTypes,
                            .emit = EmitDual,
                            .expected = Expected};

}  // namespace birkhoff::graph
