// An engine over random weights of any DeepSeek-V4 shape: speed and memory without a checkpoint.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "birkhoff/engine.h"
#include "models/deepseek_v4/layout.h"

namespace birkhoff {

// options.model is not read. The weights are a function of the config, the quantisation and the
// seed.
//
// Errors   those of the options and of the config; kOutOfRange when the weights do not fit into
//          memory, with both sizes
Result<std::unique_ptr<Engine>> LoadRandomEngine(const std::string& config_path,
                                                 const EngineOptions& options,
                                                 models::deepseek_v4::Quantisation quantisation,
                                                 std::uint64_t seed = 1);

}  // namespace birkhoff
