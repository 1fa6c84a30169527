#include "runtime/taps.h"

#include <fmt/format.h>

#include <functional>
#include <numeric>

#include "birkhoff/dtype.h"
#include "runtime/engine_impl.h"

namespace birkhoff {

Result<std::vector<float>> CollectStreams(const EngineOptions& options,
                                          std::span<const std::int32_t> ids) {
  BK_RETURN_IF_ERROR(Engine::Impl::Validate(options));
  BK_ASSIGN_OR_RETURN(runtime::LoadedModel model,
                      runtime::LoadModel(options.model,
                                         {.precision = options.precision,
                                          .context = options.context,
                                          .threads = options.threads,
                                          .draft = false,
                                          .taps = true},
                                         options.progress));
  const std::int64_t layers = model.info.layers;
  BK_ASSIGN_OR_RETURN(std::unique_ptr<Engine::Impl> impl,
                      Engine::Impl::Make(std::move(model), options, {}));
  BK_ASSIGN_OR_RETURN(const int slot, impl->TakeSlot());
  StepItem item{.tokens = ids, .rows = StepItem::Rows::kNone};
  BK_RETURN_IF_ERROR(impl->Step({&item, 1}, {&slot, 1}));

  std::vector<float> streams;
  for (std::int64_t l = 0; l < layers; ++l) {
    const ops::Operand& o = *impl->trunk().Output(fmt::format("streams.{}", l));
    const std::int64_t n =
        std::accumulate(o.dim, o.dim + o.rank, std::int64_t{1}, std::multiplies<>());
    for (std::int64_t i = 0; i < n; ++i) {
      streams.push_back(o.dtype == DType::kF32
                            ? static_cast<const float*>(o.data)[i]
                            : static_cast<float>(static_cast<const bf16*>(o.data)[i]));
    }
  }
  return streams;
}

}  // namespace birkhoff
