#include "models/stage.h"

#include <fmt/core.h>

#include <utility>

namespace birkhoff::models {

Result<BuildOptions> ResolveStage(const BuildOptions& options, std::int64_t layers) {
  BuildOptions o = options;
  if (o.end_layer < 0) o.end_layer = layers;
  if (0 <= o.first_layer && o.first_layer <= o.end_layer && o.end_layer <= layers) return o;
  return Status::OutOfRange(fmt::format("stage: expected layers within [0, {}), got [{}, {})",
                                        layers, o.first_layer, o.end_layer));
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
