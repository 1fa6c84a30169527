#include "runtime/loaded_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "base/files.h"
#include "io/checkpoint.h"
#include "models/config_parts.h"
#include "models/deepseek_v3/build.h"
#include "models/deepseek_v4/build.h"
#include "models/qwen3/build.h"

namespace birkhoff::runtime {
namespace {

namespace dsv3 = models::deepseek_v3;
namespace dsv4 = models::deepseek_v4;
namespace qwen3 = models::qwen3;

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
template <class Weights>
struct OwnedWeights {
  std::shared_ptr<const models::WeightSource> source = {};
  Weights weights = {};
};

// What a model is built from.
struct Ingredients {
  std::string_view config_json = {};
  std::string_view config_name = {};
  std::shared_ptr<const models::WeightSource> source = {};
  const GraphOptions& options;
  models::LoadOptions load = {};
};

ModelInfo Describe(const auto& config, const models::BuiltModel& built,
                   const models::LoadedParams& loaded, std::int64_t context) {
  ModelInfo info;
  info.vocab = config.vocab;
  info.hidden = config.hidden;
  info.layers = config.layers;
  info.context = context;
  info.parameters = built.size.parameters;
  info.weight_bytes = built.size.bytes;
  info.bytes_per_decoded_token = built.size.bytes_per_token;
  info.has_draft = built.draft.has_value();
  if (config.bos) info.bos = static_cast<std::int32_t>(*config.bos);
  for (const std::int64_t id : config.eos) info.eos.push_back(static_cast<std::int32_t>(id));
  info.fp8_activations = built.fp8_activations;
  info.notes = loaded.notes;
  if (built.fp8_activations) {
    info.notes.emplace_back(
        "activations are not quantised: the checkpoint asks for FP8 inputs of linear layers, with "
        "a scale per token");
  }
  info.notes.insert(info.notes.end(), built.notes.begin(), built.notes.end());
  for (const std::string& name : loaded.unused) info.notes.push_back("not used: " + name);
  return info;
}

// The three steps that every family has, under the same names.
template <auto kParse, auto kLoad, auto kBuild>
Result<LoadedModel> Make(const Ingredients& in) {
  BK_ASSIGN_OR_RETURN(const auto config, kParse(in.config_json, in.config_name));
  const GraphOptions& o = in.options;
  const std::int64_t context = o.context > 0 ? o.context : config.max_positions;
  if (context > config.max_positions) {
    return Status::OutOfRange(
        fmt::format("context: expected at most {} (max_position_embeddings of {}), got {}",
                    config.max_positions, in.config_name, context));
  }
  BK_ASSIGN_OR_RETURN(auto weights, kLoad(config, *in.source, in.load));
  auto owned = std::make_shared<OwnedWeights<decltype(weights)>>();
  owned->source = in.source;
  owned->weights = std::move(weights);

  LoadedModel model;
  BK_ASSIGN_OR_RETURN(
      model.built,
      kBuild(config, owned->weights,
             {.activation = o.precision == Precision::kF32 ? DType::kF32 : DType::kBF16,
              .context = context,
              .max_rewind = kMaxRewind,
              .draft = o.draft,
              .taps = o.taps,
              .first_layer = o.first_layer,
              .end_layer = o.end_layer,
              .mla = o.mla}));
  model.info = Describe(config, model.built, owned->weights, context);
  model.weights = std::move(owned);
  return model;
}

struct Family {
  std::string_view type = {};  // model_type of config.json
  Result<LoadedModel> (*make)(const Ingredients& in) = nullptr;
};

constexpr auto kMakeDeepSeekV3 = Make<dsv3::ParseConfig, dsv3::LoadWeights, dsv3::Build>;
constexpr auto kMakeDeepSeekV4 = Make<dsv4::ParseConfig, dsv4::LoadWeights, dsv4::Build>;
constexpr auto kMakeQwen3 = Make<qwen3::ParseConfig, qwen3::LoadWeights, qwen3::Build>;

constexpr Family kFamilies[] = {{"deepseek_v3", kMakeDeepSeekV3},
                                {"deepseek_v4", kMakeDeepSeekV4},
                                {"kimi_k2", kMakeDeepSeekV3},
                                {"qwen3", kMakeQwen3}};

// A config without a type is DeepSeek-V4's official one, or its parser says what is missing.
Result<Family> FindFamily(std::string_view config_json, std::string_view config_name) {
  BK_ASSIGN_OR_RETURN(const std::string type, models::ReadModelType(config_json, config_name));
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.type == (type.empty() ? "deepseek_v4" : type)) return family;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", family.type);
  }
  return Status::Unsupported(
      fmt::format("{}: 'model_type' is \"{}\", supported: {}", config_name, type, known));
}

}  // namespace

Result<LoadedModel> BuildModel(std::string_view config_json, std::string_view config_name,
                               std::shared_ptr<const models::WeightSource> source,
                               const GraphOptions& options, ThreadPool& pool,
                               const Progress& progress) {
  BK_ASSIGN_OR_RETURN(const Family family, FindFamily(config_json, config_name));
  models::LoadOptions load = {.pool = &pool,
                              .draft = options.draft,
                              .first_layer = options.first_layer,
                              .end_layer = options.end_layer};
  if (progress) {
    load.progress = [&](std::int64_t done, std::int64_t total) {
      progress("loading weights", done, total);
    };
  }
  BK_ASSIGN_OR_RETURN(LoadedModel model, family.make({config_json, config_name, std::move(source),
                                                      options, std::move(load)}));
  model.info.type = family.type;
  BK_ASSIGN_OR_RETURN(model.fusion, FuseModel(model.built, options.fusion, HostDevice()));
  std::vector<std::string>& notes = model.info.notes;
  notes.insert(notes.end(), model.fusion.notes.begin(), model.fusion.notes.end());
  return model;
}

Result<LoadedModel> LoadModel(const std::string& folder, const GraphOptions& options,
                              const Progress& progress) {
  const std::string config_path = (std::filesystem::path(folder) / "config.json").string();
  BK_ASSIGN_OR_RETURN(const std::string config, ReadFile(config_path, kMaxConfigBytes));
  BK_ASSIGN_OR_RETURN(io::Checkpoint checkpoint, io::Checkpoint::Open(folder));
  // A stage reads a part, which its checks touch in order.
  if (options.first_layer == 0 && options.end_layer < 0) checkpoint.Prefetch();
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
