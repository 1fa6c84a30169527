// Stages of a pipeline: which layers a graph holds, and what fusions may expect of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "birkhoff/status.h"
#include "graph/passes/recipe.h"
#include "models/built_model.h"

namespace birkhoff::models {

// Layers [first, end) of a model that has `layers`, and what around them is read for the stage.
struct StageSpan {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::int64_t layers = 0;
  bool embedding = true;
  bool head = true;  // with the last norm
};

inline StageSpan WholeModel(std::int64_t layers) { return {.end = layers, .layers = layers}; }

// Those that first_layer and end_layer of BuildOptions mean, with the embedding where the first
// layer is, and the head where the last is.
//
// Errors   kOutOfRange  a layer that the model has not
Result<StageSpan> FindStage(std::int64_t first_layer, std::int64_t end_layer, std::int64_t layers);

// How the names of tensors begin: "model.layers." and a number, and what is around the layers.
struct StageNames {
  std::string_view layers = {};
  std::string_view embedding = {};
  std::span<const std::string_view> head = {};
};

// For TensorLoader::Index(): why `stage` does not read a tensor, or nothing. Layers that the config
// does not have belong to no stage.
std::string LeftOut(std::string_view name, const StageNames& names, const StageSpan& stage);
std::string LeftToOtherStages(const StageSpan& stage);

// The options with end_layer resolved, for a model of that many layers.
//
// Errors   kOutOfRange  a layer that the model has not
Result<BuildOptions> ResolveStage(const BuildOptions& options, std::int64_t layers);

// Layers [first, end) of `model`, of the kinds given, after the one entry for what is around them.
std::vector<graph::LayerInfo> DescribeLayers(std::string_view model, std::int64_t first,
                                             std::int64_t end,
                                             FunctionRef<std::string(std::int64_t layer)> kind,
                                             graph::LayerInfo around);

// The same of a trunk; `stage` is resolved, with `draft` only where there is one.
std::vector<graph::LayerInfo> DescribeTrunk(std::string_view model, const BuildOptions& stage,
                                            std::int64_t layers,
                                            FunctionRef<std::string(std::int64_t layer)> kind);

// Those of a model's `layers` that a resolved stage has.
template <class Layer>
std::span<const Layer> StageLayers(const std::vector<Layer>& layers, const BuildOptions& stage) {
  return std::span(layers).subspan(static_cast<std::size_t>(stage.first_layer),
                                   static_cast<std::size_t>(stage.end_layer - stage.first_layer));
}

}  // namespace birkhoff::models
