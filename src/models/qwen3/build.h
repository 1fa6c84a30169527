// The forward pass of a dense Qwen3 model as one graph.
#pragma once

#include "birkhoff/status.h"
#include "models/built_model.h"
#include "models/qwen3/config.h"
#include "models/qwen3/weights.h"

namespace birkhoff::models::qwen3 {

// The graph points into `weights`, which must outlive it and stay where they are.
Result<BuiltModel> Build(const Config& config, const Weights& weights, const BuildOptions& options);

}  // namespace birkhoff::models::qwen3
