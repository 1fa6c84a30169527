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

constexpr Kernel<MhcBoundaryShiftedArgs> kTable[] = {
    {.name = "cuda/sm80/mhc_boundary_shifted",
     .bits = "mhc bf16x2",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = RefusesTensorCores,
     .scratch = cuda::sm80::MhcBoundaryShiftedScratch,
     .state = cuda::sm80::MhcBoundaryShiftedState,
     .prepare = cuda::sm80::MhcBoundaryShiftedPrepare,
     .run = cuda::sm80::MhcBoundaryShifted},
    {.name = "gpu/mhc_boundary_shifted",
     .bits = "mhc f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<MhcBoundaryShiftedArgs>,
     .scratch = gpu::MhcBoundaryShiftedScratch,
     .run = gpu::MhcBoundaryShifted},
    {.name = "cpu/avx512/mhc_boundary_shifted",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcBoundaryShiftedArgs>,
     .scratch = HScratch,
     .run = cpu::avx512::MhcBoundaryShifted},
    {.name = "cpu/avx2/mhc_boundary_shifted",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcBoundaryShiftedArgs>,
     .scratch = HScratch,
     .run = cpu::avx2::MhcBoundaryShifted},
    {.name = "cpu/generic/mhc_boundary_shifted",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcBoundaryShiftedArgs>,
     .scratch = HScratch,
     .run = cpu::generic::MhcBoundaryShifted},
    {.name = "ref/mhc_boundary_shifted",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcBoundaryShiftedArgs>,
     .run = ref::MhcBoundaryShifted},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_boundary_shifted", in, 9));
  BK_ASSIGN_OR_RETURN(std::vector<ValueType> out,
                      InferBoundary("mhc_boundary_shifted", attributes, in.first(8)));
  const ValueType& streams = in[1];
  BK_RETURN_IF_ERROR(
      ExpectCoefficients("mhc_boundary_shifted pre", in[8], {streams.shape[0], streams.shape[1]}));
  return out;
}

void Bind(const Call& call, MhcBoundaryShiftedArgs& a) {
  BindBoundary(call, a.boundary);
  a.pre = static_cast<const float*>(call.in[8].data);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcBoundaryShiftedArgs a;
  a.boundary = BoundaryConstants(attributes);
  return TypedOp<MhcBoundaryShiftedArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcBoundaryShiftedArgs>> MhcBoundaryShiftedKernels() { return kTable; }
const OpDef kMhcBoundaryShifted = {.name = "mhc_boundary_shifted",
                                   .infer = Infer,
                                   .prepare = Prepare,
                                   .in_place = {.operand = 1, .result = 0},
                                   .takes = kSpreadSecond};

}  // namespace birkhoff::ops
