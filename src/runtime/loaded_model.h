// A checkpoint in memory: configuration, weights and graphs, whatever the model type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "birkhoff/engine.h"
#include "models/built_model.h"
#include "models/weight_source.h"
#include "runtime/fuse_model.h"

namespace birkhoff::runtime {

// Tokens that a sequence can step back by without a new prefill: more than any draft is long.
inline constexpr std::int64_t kMaxRewind = 8;

// A config.json larger than this is refused.
inline constexpr std::size_t kMaxConfigBytes = 16 << 20;

struct LoadedModel {
  ModelInfo info = {};
  models::BuiltModel built = {};
  ModelFusion fusion = {};
  std::shared_ptr<const void> weights = {};  // what the graphs point into, with what is behind it
};

struct GraphOptions {
  Precision precision = Precision::kBF16;
  std::int64_t context = 0;  // 0: what the config says
  int threads = 0;           // that check the weights; 0: every CPU this process may use
  bool draft = true;
  bool taps = false;
  std::int64_t first_layer = 0;  // of a stage: models::BuildOptions
  std::int64_t end_layer = -1;
  FusionSettings fusion = {};
  models::MlaForm mla = models::MlaForm::kAuto;
};

// Reads config.json and the safetensors of a folder.
//
// Errors   those of the files, each naming file, tensor, expected and found
//          kUnsupported  another model_type; the message lists those that there are
//          kIoError      a file changed its size meanwhile, whatever else went wrong
Result<LoadedModel> LoadModel(const std::string& folder, const GraphOptions& options,
                              const Progress& progress);

// The same for weights that come from elsewhere, checked by the threads of `pool`. `source` is kept
// alive with the model.
Result<LoadedModel> BuildModel(std::string_view config_json, std::string_view config_name,
                               std::shared_ptr<const models::WeightSource> source,
                               const GraphOptions& options, ThreadPool& pool,
                               const Progress& progress);

}  // namespace birkhoff::runtime
