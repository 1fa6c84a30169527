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
     .refuses = RefusesPortable<MhcPostArgs>,
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
  const ValueType& streams = in[1];
  BK_RETURN_IF_ERROR(ExpectStreams("mhc_post", streams));
  const Extent t = streams.shape[0];
  const Extent hc = streams.shape[1];
  BK_RETURN_IF_ERROR(ExpectType("mhc_post x", in[0], streams.dtype));
  BK_RETURN_IF_ERROR(ExpectShape("mhc_post x", in[0], {t, streams.shape[2]}));
  BK_RETURN_IF_ERROR(ExpectCoefficients("mhc_post post", in[2], {t, hc}));
  BK_RETURN_IF_ERROR(ExpectCoefficients("mhc_post comb", in[3], {t, hc, hc}));
  return std::vector<ValueType>{Activation(streams.dtype, streams.shape)};
}

void Bind(const Call& call, MhcPostArgs& a) {
  const Operand& streams = call.in[1];
  a.x = call.in[0].data;
  a.streams = streams.data;
  a.type = streams.dtype;
  a.tokens = streams.dim[0];
  a.hc = streams.dim[1];
  a.hidden = streams.dim[2];
  a.post = static_cast<const float*>(call.in[2].data);
  a.comb = static_cast<const float*>(call.in[3].data);
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
                        .in_place = {.operand = 1, .result = 0}};

}  // namespace birkhoff::ops
