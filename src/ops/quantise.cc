#include "kernels/args/quantise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/fp8_results.h"
#include "ops/tables.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<QuantiseArgs> kTable[] = {
    {.name = "gpu/quantise",
     .bits = "exact",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<QuantiseArgs>,
     .run = gpu::Quantise},
    {.name = "cpu/avx512/quantise",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, QuantiseArgs>,
     .run = cpu::avx512::Quantise},
    {.name = "cpu/avx2/quantise",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, QuantiseArgs>,
     .run = cpu::avx2::Quantise},
    {.name = "cpu/generic/quantise",
     .bits = "exact",
     .source = "own",
     .refuses = Never<QuantiseArgs>,
     .run = cpu::generic::Quantise},
    {.name = "ref/quantise",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<QuantiseArgs>,
     .run = ref::Quantise},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("quantise", in, 1));
  BK_RETURN_IF_ERROR(ExpectFloat("quantise x", in[0]));
  BK_RETURN_IF_ERROR(ExpectRank("quantise x", in[0], 2));
  return Fp8Types("quantise", in[0].shape, attributes);
}

void Bind(const Call& call, QuantiseArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.type = x.dtype;
  a.rows = x.dim[0];
  a.width = x.dim[1];
  a.x_row = x.row;
  BindFp8(call.out, a.fp8);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  QuantiseArgs a;
  a.fp8.format = Fp8FormatOf(attributes);
  return TypedOp<QuantiseArgs, Bind>::Make(kTable, a, largest, options);
}

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

}  // namespace

std::span<const Kernel<QuantiseArgs>> QuantiseKernels() { return kTable; }
const OpDef kQuantise = {.name = "quantise", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
