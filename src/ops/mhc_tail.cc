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

constexpr Kernel<MhcTailArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_tail",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesTensorCores<MhcTailArgs>,
     .scratch = cuda::sm80::MhcTailScratch,
     .state = cuda::sm80::MhcTailState,
     .prepare = cuda::sm80::MhcTailPrepare,
     .run = cuda::sm80::MhcTail},
    {.name = "gpu/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcTailArgs>,
     .scratch = gpu::MhcTailScratch,
     .run = gpu::MhcTail},
    {.name = "cpu/avx512/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcTailArgs>,
     .run = cpu::avx512::MhcTail},
    {.name = "cpu/avx2/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcTailArgs>,
     .run = cpu::avx2::MhcTail},
    {.name = "cpu/generic/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcTailArgs>,
     .run = cpu::generic::MhcTail},
    {.name = "ref/mhc_tail",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcTailArgs>,
     .run = ref::MhcTail},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_tail", in, 8));
  BK_RETURN_IF_ERROR(ExpectMix("mhc_tail", in));
  const ValueType& streams = in[1];
  BK_RETURN_IF_ERROR(
      ExpectMhcParameters("mhc_tail", streams, in.subspan(4), streams.shape[1].times, 1));
  BK_RETURN_IF_ERROR(ExpectMhcNorm("mhc_tail", streams, in[7]));
  return std::vector<ValueType>{Activation(streams.dtype, streams.shape),
                                Activation(in[0].dtype, in[0].shape)};
}

void Bind(const Call& call, MhcTailArgs& a) {
  BindMix(call, a);
  a.fn = static_cast<const float*>(call.in[4].data);
  a.base = static_cast<const float*>(call.in[5].data);
  a.scale = static_cast<const float*>(call.in[6].data);
  a.norm_weight = static_cast<const float*>(call.in[7].data);
  a.streams_out = call.out[0].data;
  a.out = call.out[1].data;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcTailArgs a;
  a.rms_eps = static_cast<float>(attributes.Number("rms_eps"));
  a.eps = static_cast<float>(attributes.Number("eps"));
  a.norm_eps = static_cast<float>(attributes.Number("norm_eps"));
  return TypedOp<MhcTailArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcTailArgs>> MhcTailKernels() { return kTable; }
const OpDef kMhcTail = {.name = "mhc_tail",
                        .infer = Infer,
                        .prepare = Prepare,
                        .in_place = {.operand = 1, .result = 0},
                        .takes = kSpreadSecond};

}  // namespace birkhoff::ops
