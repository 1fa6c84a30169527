// The residual streams inside a model, for comparisons with golden values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "birkhoff/engine.h"

namespace birkhoff {

// Streams after every layer for a prompt of at most options.max_step_tokens: f32 [layers, T, hc,
// hidden]. Loads the model anew with every layer's streams as an output.
Result<std::vector<float>> CollectStreams(const EngineOptions& options,
                                          std::span<const std::int32_t> ids);

}  // namespace birkhoff
