// What the recipes of mHC have in common: examples of operands, and the constants of a site.
#pragma once

#include <array>
#include <string_view>

#include "graph/passes/recipe.h"

namespace birkhoff::graph {

// What a mix reads, of a pattern over 4 streams of 64.
struct MhcExample {
  explicit MhcExample(PatternBuilder& b);

  Value x = {};
  Value streams = {};
  Value post = {};
  Value comb = {};
};
MhcParameters SiteExample(PatternBuilder& b);  // "fn", "base", "scale"
MhcParameters HeadExample(PatternBuilder& b);  // the same
Value NormExample(PatternBuilder& b);          // "norm"

// The constants of a site, each captured under its own name.
inline constexpr std::array<std::string_view, 5> kMhcConstants = {
    "iterations", "post_mult", "pre_eps", "rms_eps", "sinkhorn_eps"};
void CaptureConstants(PatternBuilder& b, Value v);

// Attributes of a boundary with the captured constants.
ops::Attributes BoundaryAttributes(const Binding& binding, double norm_eps,
                                   std::int64_t fp8_group = 0, std::int64_t fp8_scale = 0);

// Guard of a pattern that gives streams first and captures the type of a norm as "out": the fused
// op has one type for both.
Refusal NeedsOneType(const Graph& graph, const Binding& binding, const Pattern& pattern);

// How many sites of a layer stand behind another of the same graph.
int MhcBoundaries(const LayerInfo& layer);

}  // namespace birkhoff::graph
