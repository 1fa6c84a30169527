// A checkpoint in memory: configuration, weights and graphs, whatever the model type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "birkhoff/engine.h"
#include "models/built_model.h"
#include "models/weight_source.h"

namespace birkhoff::runtime {

// Tokens that a sequence can step back by without a new prefill: more than any draft is long.
inline constexpr std::int64_t kMaxRewind = 8;

// A config.json larger than this is refused.
inline constexpr std::size_t kMaxConfigBytes = 16 << 20;

struct LoadedModel {
  ModelInfo info = {};
  models::BuiltModel built = {};
  std::shared_ptr<const void> weights =
      {};  // what the graphs point into, and what that points into
};

struct GraphOptions {
  Precision precision = Precision::kBF16;
  std::int64_t context = 0;  // 0: what the config says
  bool draft = true;
  bool taps = false;
};

// Reads config.json and the safetensors of a folder.
// Errors  those of the files, each naming file, tensor, expected and found; kUnsupported for
// another model_type.
Result<LoadedModel> LoadModel(const std::string& folder, const GraphOptions& options,
                              const Progress& progress);

// The same for weights that come from elsewhere. `source` is kept alive with the model.
Result<LoadedModel> BuildModel(std::string_view config_json, std::string_view config_name,
                               std::shared_ptr<const models::WeightSource> source,
                               const GraphOptions& options, const Progress& progress);

}  // namespace birkhoff::runtime
