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

constexpr Kernel<MhcCollapseArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_collapse",
     .bits = "exact",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesWideWords<MhcCollapseArgs>,
     .run = cuda::sm80::MhcCollapse},
    {.name = "gpu/mhc_collapse",
     .bits = "exact",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcCollapseArgs>,
     .run = gpu::MhcCollapse},
    {.name = "cpu/avx512/mhc_collapse",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcCollapseArgs>,
     .run = cpu::avx512::MhcCollapse},
    {.name = "cpu/avx2/mhc_collapse",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcCollapseArgs>,
     .run = cpu::avx2::MhcCollapse},
    {.name = "cpu/generic/mhc_collapse",
     .bits = "exact",
     .source = "own",
     .refuses = Never<MhcCollapseArgs>,
     .run = cpu::generic::MhcCollapse},
    {.name = "ref/mhc_collapse",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcCollapseArgs>,
     .run = ref::MhcCollapse},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_collapse", in, 2));
  const ValueType& streams = in[0];
  BK_RETURN_IF_ERROR(ExpectStreams("mhc_collapse", streams));
  BK_RETURN_IF_ERROR(
      ExpectCoefficients("mhc_collapse pre", in[1], {streams.shape[0], streams.shape[1]}));
  return std::vector<ValueType>{Activation(streams.dtype, {streams.shape[0], streams.shape[2]})};
}

void Bind(const Call& call, MhcCollapseArgs& a) {
  BindStreams(call.in[0], a);
  a.pre = static_cast<const float*>(call.in[1].data);
  a.out = call.out[0].data;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<MhcCollapseArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<MhcCollapseArgs>> MhcCollapseKernels() { return kTable; }
const OpDef kMhcCollapse = {
    .name = "mhc_collapse", .infer = Infer, .prepare = Prepare, .takes = kSpreadFirst};

}  // namespace birkhoff::ops
