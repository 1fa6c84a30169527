#include "models/stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace birkhoff::models {

Result<StageSpan> FindStage(std::int64_t first_layer, std::int64_t end_layer, std::int64_t layers) {
  const std::int64_t end = end_layer < 0 ? layers : end_layer;
  if (0 <= first_layer && first_layer <= end && end <= layers)
    return StageSpan{first_layer, end, layers, first_layer == 0, end == layers};
  return Status::OutOfRange(
      fmt::format("stage: expected layers within [0, {}), got [{}, {})", layers, first_layer, end));
}

std::string LeftToOtherStages(const StageSpan& stage) {
  return fmt::format("other stages: this one has layers [{}, {}) of {}", stage.first, stage.end,
                     stage.layers);
}

std::string LeftOut(std::string_view name, const StageNames& names, const StageSpan& stage) {
  bool ours = true;
  if (name.starts_with(names.layers)) {
    const char* end = name.data() + name.size();
    std::int64_t layer = 0;
    const auto [dot, error] = std::from_chars(name.data() + names.layers.size(), end, layer);
    if (error != std::errc() || dot == end || *dot != '.' || layer < 0) return {};
    if (layer >= stage.layers) {
      return fmt::format("layers from {} on ignored: the config has {} layers", stage.layers,
                         stage.layers);
    }
    ours = stage.first <= layer && layer < stage.end;
  } else if (name.starts_with(names.embedding)) {
    ours = stage.embedding;
  } else {
    const auto begins = [&](std::string_view head) { return name.starts_with(head); };
    ours = stage.head || std::none_of(names.head.begin(), names.head.end(), begins);
  }
  return ours ? "" : LeftToOtherStages(stage);
}

Result<BuildOptions> ResolveStage(const BuildOptions& options, std::int64_t layers) {
  BK_ASSIGN_OR_RETURN(const StageSpan stage,
                      FindStage(options.first_layer, options.end_layer, layers));
  BuildOptions o = options;
  o.end_layer = stage.end;
  return o;
}

std::vector<graph::LayerInfo> DescribeLayers(std::string_view model, std::int64_t first,
                                             std::int64_t end,
                                             FunctionRef<std::string(std::int64_t layer)> kind,
                                             graph::LayerInfo around) {
  around.model = model;
  around.kind = "around the layers";
  around.layer = -1;
  around.layers = static_cast<int>(end - first);
  std::vector<graph::LayerInfo> layers = {around};
  for (std::int64_t l = first; l < end; ++l) {
    graph::LayerInfo layer = around;
    layer.kind = kind(l);
    layer.layer = static_cast<int>(l);
    layer.first = l == first;
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<graph::LayerInfo> DescribeTrunk(std::string_view model, const BuildOptions& stage,
                                            std::int64_t layers,
                                            FunctionRef<std::string(std::int64_t layer)> kind) {
  const bool has_head = stage.end_layer == layers;
  return DescribeLayers(model, stage.first_layer, stage.end_layer, kind,
                        {.has_embedding = stage.first_layer == 0,
                         .has_head = has_head,
                         .gives_streams = stage.draft || stage.taps || !has_head});
}

}  // namespace birkhoff::models
