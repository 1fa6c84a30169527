#include <fmt/format.h>

#include "kernels/args/mhc.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cuda/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/fp8_results.h"
#include "ops/mhc_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

Refusal RefusesHopper(const MhcBoundaryArgs& a, const Device& device) {
  if (device.sm != 90)
    return Refusal(fmt::format("needs compute capability 9.0, {} has {}.{}", device.gpu,
                               device.sm / 10, device.sm % 10));
  if (device.multiprocessors < cuda::sm90::kLeastMultiprocessors)
    return Refusal(fmt::format("needs {} multiprocessors, has {}",
                               cuda::sm90::kLeastMultiprocessors, device.multiprocessors));
  if (Refusal refusal = NeedsBf16(a.type)) return refusal;
  if (Refusal refusal = RefusesStrides(a)) return refusal;
  if (a.hc != 4 || !cuda::sm90::IsBuiltFor(a.hidden))
    return Refusal(
        fmt::format("built for 4 streams of 4096, 5120 or 7168, got {} of {}", a.hc, a.hidden));
  return {};
}

constexpr Kernel<MhcBoundaryArgs> kTable[] = {
    {.name = "cuda/sm90/mhc_boundary",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesHopper,
     .state = cuda::sm90::MhcBoundaryState,
     .prepare = cuda::sm90::MhcBoundaryPrepare,
     .launch = cuda::sm90::MhcBoundaryLaunch,
     .run = cuda::sm90::MhcBoundary},
    {.name = "cuda/sm80/mhc_boundary",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesTensorCores<MhcBoundaryArgs>,
     .scratch = cuda::sm80::MhcBoundaryScratch,
     .state = cuda::sm80::MhcBoundaryState,
     .prepare = cuda::sm80::MhcBoundaryPrepare,
     .run = cuda::sm80::MhcBoundary},
    {.name = "gpu/mhc_boundary",
     .bits = "mhc f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcBoundaryArgs>,
     .scratch = gpu::MhcBoundaryScratch,
     .run = gpu::MhcBoundary},
    {.name = "cpu/avx512/mhc_boundary",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcBoundaryArgs>,
     .scratch = HScratch,
     .run = cpu::avx512::MhcBoundary},
    {.name = "cpu/avx2/mhc_boundary",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcBoundaryArgs>,
     .scratch = HScratch,
     .run = cpu::avx2::MhcBoundary},
    {.name = "cpu/generic/mhc_boundary",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcBoundaryArgs>,
     .scratch = HScratch,
     .run = cpu::generic::MhcBoundary},
    {.name = "ref/mhc_boundary",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcBoundaryArgs>,
     .run = ref::MhcBoundary},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  if (in.size() != 7) BK_RETURN_IF_ERROR(ExpectCount("mhc_boundary", in, 8));
  BK_ASSIGN_OR_RETURN(std::vector<ValueType> results,
                      InferBoundary("mhc_boundary", attributes, in));
  const std::int64_t group = attributes.Int("fp8_group");
  if (group == 0) return results;
  if (group != 32 && group != 128)
    return Status::InvalidArgument(
        fmt::format("mhc_boundary: expected fp8_group 0, 32 or 128, got {}", group));
  const ValueType& h = results.back();
  BK_RETURN_IF_ERROR(ExpectType("mhc_boundary streams with FP8", h, DType::kBF16));
  BK_ASSIGN_OR_RETURN(
      const std::vector<ValueType> fp8,
      Fp8Types("mhc_boundary", h.shape, group, attributes.Int("fp8_scale"), kFp8GroupFloor));
  results.insert(results.end(), fp8.begin(), fp8.end());
  return results;
}

void Bind(const Call& call, MhcBoundaryArgs& a) {
  BindBoundary(call, a);
  if (call.out.size() > 5) BindFp8(call.out.subspan(5), a.fp8);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcBoundaryArgs a = BoundaryConstants(attributes);
  a.fp8.format = {attributes.Int("fp8_group"), static_cast<Fp8Scale>(attributes.Int("fp8_scale"))};
  return TypedOp<MhcBoundaryArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcBoundaryArgs>> MhcBoundaryKernels() { return kTable; }
const OpDef kMhcBoundary = {.name = "mhc_boundary",
                            .infer = Infer,
                            .prepare = Prepare,
                            .in_place = {.operand = 1, .result = 0},
                            .takes = kSpreadSecond};

}  // namespace birkhoff::ops
