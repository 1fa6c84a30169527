// The DeepSeek-V4 forward pass as one graph, and its MTP layer as a second.
#pragma once

#include "birkhoff/status.h"
#include "models/built_model.h"
#include "models/deepseek_v4/config.h"
#include "models/deepseek_v4/weights.h"

namespace birkhoff::models::deepseek_v4 {

// The graphs point into `weights`, which must outlive them and stay where they are.
Result<BuiltModel> Build(const Config& config, const Weights& weights, const BuildOptions& options);

}  // namespace birkhoff::models::deepseek_v4
