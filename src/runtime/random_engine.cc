#include "runtime/random_engine.h"

#include "base/files.h"
#include "models/deepseek_v4/random_weights.h"
#include "runtime/engine_impl.h"
#include "runtime/no_throw.h"

namespace birkhoff {

namespace {

namespace dsv4 = models::deepseek_v4;

Result<std::unique_ptr<Engine>> LoadUnguarded(const std::string& config_path,
                                              const EngineOptions& options,
                                              dsv4::Quantisation quantisation, std::uint64_t seed) {
  BK_RETURN_IF_ERROR(Engine::Impl::Validate(options));
  BK_ASSIGN_OR_RETURN(const std::string json, ReadFile(config_path, runtime::kMaxConfigBytes));
  BK_ASSIGN_OR_RETURN(const dsv4::Config config, dsv4::ParseConfig(json, config_path));
  ThreadPool pool(options.threads);
  BK_ASSIGN_OR_RETURN(dsv4::RandomWeights weights,
                      dsv4::RandomWeights::Make(config, quantisation, seed, pool));
  BK_ASSIGN_OR_RETURN(runtime::LoadedModel model,
                      runtime::BuildModel(json, config_path,
                                          std::make_shared<dsv4::RandomWeights>(std::move(weights)),
                                          {.precision = options.precision,
                                           .context = options.context,
                                           .draft = options.draft,
                                           .fusion = options.fusion},
                                          pool, options.progress));
  BK_ASSIGN_OR_RETURN(std::unique_ptr<Engine::Impl> impl,
                      Engine::Impl::Make(std::move(model), options, {}));
  return std::make_unique<Engine>(std::move(impl));
}

}  // namespace

Result<std::unique_ptr<Engine>> LoadRandomEngine(const std::string& config_path,
                                                 const EngineOptions& options,
                                                 models::deepseek_v4::Quantisation quantisation,
                                                 std::uint64_t seed) {
  return runtime::NoThrow([&] { return LoadUnguarded(config_path, options, quantisation, seed); });
}

}  // namespace birkhoff
