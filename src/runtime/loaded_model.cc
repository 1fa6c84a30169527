#include "runtime/loaded_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/files.h"
#include "io/checkpoint.h"
#include "models/deepseek_v4/build.h"
#include "models/deepseek_v4/config.h"
#include "models/deepseek_v4/weights.h"

namespace birkhoff::runtime {
namespace {

namespace dsv4 = models::deepseek_v4;

class CheckpointSource final : public models::WeightSource {
 public:
  explicit CheckpointSource(io::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}

  std::vector<std::string> Names() const override { return checkpoint_.names(); }
  Result<ConstTensorView> Find(std::string_view name) const override {
    return checkpoint_.Find(name);
  }
  std::string Where(std::string_view name) const override {
    return fmt::format("{}: {}", checkpoint_.FileOf(name), name);
  }
  const io::Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  io::Checkpoint checkpoint_;
};

// Keeps the source behind the weights that point into it.
struct OwnedWeights {
  std::shared_ptr<const models::WeightSource> source = {};
  dsv4::Weights weights = {};
};

}  // namespace

Result<LoadedModel> BuildModel(std::string_view config_json, std::string_view config_name,
                               std::shared_ptr<const models::WeightSource> source,
                               const GraphOptions& options, ThreadPool& pool,
                               const Progress& progress) {
  BK_ASSIGN_OR_RETURN(const dsv4::Config config, dsv4::ParseConfig(config_json, config_name));
  const std::int64_t context = options.context > 0 ? options.context : config.max_positions;
  if (context > config.max_positions) {
    return Status::OutOfRange(
        fmt::format("context: expected at most {} (max_position_embeddings of {}), got {}",
                    config.max_positions, config_name, context));
  }

  auto owned = std::make_shared<OwnedWeights>();
  owned->source = std::move(source);
  dsv4::LoadOptions load = {.pool = &pool, .draft = options.draft};
  if (progress) {
    load.progress = [&](std::int64_t done, std::int64_t total) {
      progress("loading weights", done, total);
    };
  }
  BK_ASSIGN_OR_RETURN(owned->weights, dsv4::LoadWeights(config, *owned->source, load));

  LoadedModel model;
  BK_ASSIGN_OR_RETURN(
      model.built,
      dsv4::Build(config, owned->weights,
                  {.activation = options.precision == Precision::kF32 ? DType::kF32 : DType::kBF16,
                   .context = context,
                   .max_rewind = kMaxRewind,
                   .draft = options.draft,
                   .taps = options.taps}));
  BK_ASSIGN_OR_RETURN(model.fusion, FuseModel(model.built, options.fusion));
  ModelInfo& info = model.info;
  info.type = "deepseek_v4";
  info.vocab = config.vocab;
  info.hidden = config.hidden;
  info.layers = config.layers;
  info.context = context;
  info.parameters = model.built.size.parameters;
  info.weight_bytes = model.built.size.bytes;
  info.bytes_per_decoded_token = model.built.size.bytes_per_token;
  info.has_draft = model.built.draft.has_value();
  if (config.bos) info.bos = static_cast<std::int32_t>(*config.bos);
  for (const std::int64_t id : config.eos) info.eos.push_back(static_cast<std::int32_t>(id));
  info.notes = owned->weights.notes;
  for (const std::string& name : owned->weights.unused) info.notes.push_back("not used: " + name);
  const std::vector<std::string>& missed = model.fusion.notes;
  info.notes.insert(info.notes.end(), missed.begin(), missed.end());
  model.weights = std::move(owned);
  return model;
}

Result<LoadedModel> LoadModel(const std::string& folder, const GraphOptions& options,
                              const Progress& progress) {
  const std::string config_path = (std::filesystem::path(folder) / "config.json").string();
  BK_ASSIGN_OR_RETURN(const std::string config, ReadFile(config_path, kMaxConfigBytes));
  BK_ASSIGN_OR_RETURN(io::Checkpoint checkpoint, io::Checkpoint::Open(folder));
  checkpoint.Prefetch();
  const auto source = std::make_shared<CheckpointSource>(std::move(checkpoint));
  ThreadPool pool(options.threads);
  auto model = BuildModel(config, config_path, source, options, pool, progress);
  // Values read from a file that is being written mean nothing: this explains any other error.
  BK_RETURN_IF_ERROR(source->checkpoint().CheckSizes());
  // A tensor that is in none of the files: say where they are.
  if (model.status().code() == StatusCode::kNotFound) return model.status().Annotate(folder);
  return model;
}

}  // namespace birkhoff::runtime
