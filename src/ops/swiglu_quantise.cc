#include "kernels/args/quantise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/fp8_results.h"
#include "ops/tables.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<SwigluQuantiseArgs> kTable[] = {
    {.name = "gpu/swiglu_quantise",
     .bits = "f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<SwigluQuantiseArgs>,
     .run = gpu::SwigluQuantise},
    {.name = "cpu/avx512/swiglu_quantise",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, SwigluQuantiseArgs>,
     .scratch = RowScratch,
     .run = cpu::avx512::SwigluQuantise},
    {.name = "cpu/avx2/swiglu_quantise",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, SwigluQuantiseArgs>,
     .scratch = RowScratch,
     .run = cpu::avx2::SwigluQuantise},
    {.name = "cpu/generic/swiglu_quantise",
     .bits = "f32",
     .source = "own",
     .refuses = Never<SwigluQuantiseArgs>,
     .scratch = RowScratch,
     .run = cpu::generic::SwigluQuantise},
    {.name = "ref/swiglu_quantise",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<SwigluQuantiseArgs>,
     .run = ref::SwigluQuantise},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("swiglu_quantise", in, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("swiglu_quantise gate", in[0]));
  BK_RETURN_IF_ERROR(ExpectRank("swiglu_quantise gate", in[0], 2));
  BK_RETURN_IF_ERROR(ExpectType("swiglu_quantise up", in[1], in[0].dtype));
  BK_RETURN_IF_ERROR(ExpectShape("swiglu_quantise up", in[1], {in[0].shape[0], in[0].shape[1]}));
  return Fp8Types("swiglu_quantise", in[0].shape, attributes);
}

void Bind(const Call& call, SwigluQuantiseArgs& a) {
  const Operand& gate = call.in[0];
  a.gate = gate.data;
  a.up = call.in[1].data;
  a.type = gate.dtype;
  a.rows = gate.dim[0];
  a.width = gate.dim[1];
  BindFp8(call.out, a.fp8);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  SwigluQuantiseArgs a;
  a.limit = static_cast<float>(attributes.Number("limit"));
  a.fp8.format = Fp8FormatOf(attributes);
  return TypedOp<SwigluQuantiseArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<SwigluQuantiseArgs>> SwigluQuantiseKernels() { return kTable; }
const OpDef kSwigluQuantise = {.name = "swiglu_quantise", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
