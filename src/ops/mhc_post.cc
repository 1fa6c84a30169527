#include "kernels/args/mhc.h"

#include "kernels/cpu/kernels.h"
#include "kernels/cuda/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/mhc_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<MhcPostArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_post",
     .bits = "exact",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesWideWords<MhcPostArgs>,
     .run = cuda::sm80::MhcPost},
    {.name = "gpu/mhc_post",
     .bits = "exact",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcPostArgs>,
     .run = gpu::MhcPost},
    {.name = "cpu/avx512/mhc_post",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcPostArgs>,
     .run = cpu::avx512::MhcPost},
    {.name = "cpu/avx2/mhc_post",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcPostArgs>,
     .run = cpu::avx2::MhcPost},
    {.name = "cpu/generic/mhc_post",
     .bits = "exact",
     .source = "own",
     .refuses = Never<MhcPostArgs>,
     .run = cpu::generic::MhcPost},
    {.name = "ref/mhc_post",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcPostArgs>,
     .run = ref::MhcPost},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_post", in, 4));
  BK_RETURN_IF_ERROR(ExpectMix("mhc_post", in));
  return std::vector<ValueType>{Activation(in[1].dtype, in[1].shape)};
}

void Bind(const Call& call, MhcPostArgs& a) {
  BindMix(call, a);
  a.out = call.out[0].data;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<MhcPostArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<MhcPostArgs>> MhcPostKernels() { return kTable; }
const OpDef kMhcPost = {.name = "mhc_post",
                        .infer = Infer,
                        .prepare = Prepare,
                        .in_place = {.operand = 1, .result = 0},
                        .takes = kSpreadSecond};

}  // namespace birkhoff::ops
