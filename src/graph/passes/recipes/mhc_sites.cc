#include "graph/passes/recipes/mhc_sites.h"

#include <string>

namespace birkhoff::graph {
namespace {

constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
constexpr std::int64_t kStreams = 4;
constexpr std::int64_t kWidth = 64;
constexpr std::int64_t kMixes = kStreams * (kStreams + 2);

}  // namespace

MhcExample::MhcExample(PatternBuilder& b)
    : x(b.In("x", DType::kBF16, {kTokens, ops::Const(kWidth)})),
      streams(b.In("streams", DType::kBF16, {kTokens, ops::Const(kStreams), ops::Const(kWidth)})),
      post(b.In("post", DType::kF32, {kTokens, ops::Const(kStreams)})),
      comb(b.In("comb", DType::kF32, {kTokens, ops::Const(kStreams), ops::Const(kStreams)})) {}

MhcParameters SiteExample(PatternBuilder& b) {
  return {b.Weight("fn", {kMixes, kStreams * kWidth}), b.Weight("base", {kMixes}),
          b.Weight("scale", {3})};
}

MhcParameters HeadExample(PatternBuilder& b) {
  return {b.Weight("fn", {kStreams, kStreams * kWidth}), b.Weight("base", {kStreams}),
          b.Weight("scale", {1})};
}

Value NormExample(PatternBuilder& b) { return b.Weight("norm", {kWidth}); }

void CaptureConstants(PatternBuilder& b, Value v) {
  for (const std::string_view name : kMhcConstants) b.Capture(v, name, name);
}

ops::Attributes BoundaryAttributes(const Binding& binding, double norm_eps, std::int64_t fp8_group,
                                   std::int64_t fp8_scale) {
  return {{"iterations", binding.Int("iterations")},
          {"post_mult", binding.Number("post_mult")},
          {"pre_eps", binding.Number("pre_eps")},
          {"rms_eps", binding.Number("rms_eps")},
          {"sinkhorn_eps", binding.Number("sinkhorn_eps")},
          {"norm_eps", norm_eps},
          {"fp8_group", fp8_group},
          {"fp8_scale", fp8_scale}};
}

Refusal NeedsOneType(const Graph& graph, const Binding& binding, const Pattern& pattern) {
  const DType streams = graph[binding[pattern.out[0]]].type.dtype;
  const auto out = static_cast<DType>(binding.Int("out"));
  if (out == streams) return {};
  return Refusal("needs a norm that gives " + std::string(Name(streams)) +
                 " as the streams are, got " + std::string(Name(out)));
}

int MhcBoundaries(const LayerInfo& layer) {
  if (layer.model != "deepseek_v4" || layer.layer < 0) return 0;
  return layer.first ? 1 : 2;
}

}  // namespace birkhoff::graph
