// Canonical form and fusion of the graphs of a model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/fusion.h"
#include "birkhoff/status.h"
#include "graph/passes/engine.h"
#include "models/built_model.h"

namespace birkhoff::runtime {

struct ModelFusion {
  graph::FusionReport trunk = {};
  std::optional<graph::FusionReport> draft = {};
  std::vector<std::string> notes = {};  // of kWarn
};

// Errors  those of graph::Fuse, with the name of the graph
Result<ModelFusion> FuseModel(models::BuiltModel& model, const FusionSettings& settings,
                              const Device& device);

}  // namespace birkhoff::runtime
