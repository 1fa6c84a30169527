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

constexpr Kernel<MhcHeadArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_head",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesTensorCores<MhcHeadArgs>,
     .scratch = cuda::sm80::MhcHeadScratch,
     .state = cuda::sm80::MhcHeadState,
     .prepare = cuda::sm80::MhcHeadPrepare,
     .run = cuda::sm80::MhcHead},
    {.name = "gpu/mhc_head",
     .bits = "mhc f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcHeadArgs>,
     .scratch = gpu::MhcHeadScratch,
     .run = gpu::MhcHead},
    {.name = "cpu/avx512/mhc_head",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcHeadArgs>,
     .run = cpu::avx512::MhcHead},
    {.name = "cpu/avx2/mhc_head",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcHeadArgs>,
     .run = cpu::avx2::MhcHead},
    {.name = "cpu/generic/mhc_head",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcHeadArgs>,
     .run = cpu::generic::MhcHead},
    {.name = "ref/mhc_head",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcHeadArgs>,
     .run = ref::MhcHead},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_head", in, 4));
  const ValueType& streams = in[0];
  BK_RETURN_IF_ERROR(ExpectStreams("mhc_head", streams));
  BK_RETURN_IF_ERROR(
      ExpectMhcParameters("mhc_head", streams, in.subspan(1), streams.shape[1].times, 1));
  return std::vector<ValueType>{Activation(streams.dtype, {streams.shape[0], streams.shape[2]})};
}

void Bind(const Call& call, MhcHeadArgs& a) {
  const Operand& streams = call.in[0];
  a.streams = streams.data;
  a.type = streams.dtype;
  a.tokens = streams.dim[0];
  a.hc = streams.dim[1];
  a.hidden = streams.dim[2];
  a.fn = static_cast<const float*>(call.in[1].data);
  a.base = static_cast<const float*>(call.in[2].data);
  a.scale = static_cast<const float*>(call.in[3].data);
  a.out = call.out[0].data;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcHeadArgs a;
  a.rms_eps = static_cast<float>(attributes.Number("rms_eps"));
  a.eps = static_cast<float>(attributes.Number("eps"));
  return TypedOp<MhcHeadArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcHeadArgs>> MhcHeadKernels() { return kTable; }
const OpDef kMhcHead = {.name = "mhc_head", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
