// The DeepSeek-V3 forward pass as one graph.
#pragma once

#include "birkhoff/status.h"
#include "models/built_model.h"
#include "models/deepseek_v3/config.h"
#include "models/deepseek_v3/weights.h"

namespace birkhoff::models::deepseek_v3 {

// The graph points into `weights`, which must outlive it and stay where they are.
//
// The form of latent attention is absorbed unless options.mla says otherwise, or an FP8 scale of
// kv_b_proj spans the border of two parts of a head: then it is expanded, with a note.
//
// Errors   kUnsupported  that, where the absorbed form is asked for; the message has the numbers
Result<BuiltModel> Build(const Config& config, const Weights& weights, const BuildOptions& options);

}  // namespace birkhoff::models::deepseek_v3
