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

constexpr Kernel<MhcCoeffsArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_coeffs",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesTensorCores<MhcCoeffsArgs>,
     .scratch = cuda::sm80::MhcCoeffsScratch,
     .state = cuda::sm80::MhcCoeffsState,
     .prepare = cuda::sm80::MhcCoeffsPrepare,
     .run = cuda::sm80::MhcCoeffs},
    {.name = "gpu/mhc_coeffs",
     .bits = "mhc f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcCoeffsArgs>,
     .scratch = gpu::MhcCoeffsScratch,
     .run = gpu::MhcCoeffs},
    {.name = "cpu/avx512/mhc_coeffs",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcCoeffsArgs>,
     .run = cpu::avx512::MhcCoeffs},
    {.name = "cpu/avx2/mhc_coeffs",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcCoeffsArgs>,
     .run = cpu::avx2::MhcCoeffs},
    {.name = "cpu/generic/mhc_coeffs",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcCoeffsArgs>,
     .run = cpu::generic::MhcCoeffs},
    {.name = "ref/mhc_coeffs",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcCoeffsArgs>,
     .run = ref::MhcCoeffs},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_coeffs", in, 4));
  const ValueType& streams = in[0];
  BK_RETURN_IF_ERROR(ExpectStreams("mhc_coeffs", streams));
  const Extent t = streams.shape[0];
  const Extent hc = streams.shape[1];
  BK_RETURN_IF_ERROR(
      ExpectMhcParameters("mhc_coeffs", streams, in.subspan(1), hc.times * (hc.times + 2), 3));
  BK_RETURN_IF_ERROR(CheckSite("mhc_coeffs", attributes));
  return std::vector<ValueType>{Activation(DType::kF32, {t, hc}), Activation(DType::kF32, {t, hc}),
                                Activation(DType::kF32, {t, hc, hc})};
}

void Bind(const Call& call, MhcCoeffsArgs& a) {
  BindStreams(call.in[0], a);
  BindSite(call.in.subspan(1), a.site);
  a.pre = static_cast<float*>(call.out[0].data);
  a.post = static_cast<float*>(call.out[1].data);
  a.comb = static_cast<float*>(call.out[2].data);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcCoeffsArgs a;
  a.site = SiteConstants(attributes);
  return TypedOp<MhcCoeffsArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcCoeffsArgs>> MhcCoeffsKernels() { return kTable; }
const OpDef kMhcCoeffs = {
    .name = "mhc_coeffs", .infer = Infer, .prepare = Prepare, .takes = kSpreadFirst};

}  // namespace birkhoff::ops
