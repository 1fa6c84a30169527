// Stages of a pipeline: which layers a graph holds, and what fusions may expect of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "birkhoff/status.h"
#include "graph/passes/recipe.h"
#include "models/built_model.h"

namespace birkhoff::models {

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

}  // namespace birkhoff::models
