#include "kernels/args/elementwise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<SwigluArgs> kTable[] = {
    {.name = "cpu/avx512/swiglu",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, SwigluArgs>,
     .run = cpu::avx512::Swiglu},
    {.name = "cpu/avx2/swiglu",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, SwigluArgs>,
     .run = cpu::avx2::Swiglu},
    {.name = "cpu/generic/swiglu",
     .bits = "f32",
     .source = "own",
     .refuses = Never<SwigluArgs>,
     .run = cpu::generic::Swiglu},
    {.name = "ref/swiglu",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<SwigluArgs>,
     .run = ref::Swiglu},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("swiglu", in, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("swiglu gate", in[0]));
  BK_RETURN_IF_ERROR(ExpectRank("swiglu gate", in[0], 2));
  BK_RETURN_IF_ERROR(ExpectType("swiglu up", in[1], in[0].dtype));
  BK_RETURN_IF_ERROR(ExpectShape("swiglu up", in[1], {in[0].shape[0], in[0].shape[1]}));
  return std::vector<ValueType>{Activation(in[0].dtype, in[0].shape)};
}

void Bind(const Call& call, SwigluArgs& a) {
  const Operand& gate = call.in[0];
  a.gate = gate.data;
  a.up = call.in[1].data;
  a.out = call.out[0].data;
  a.type = gate.dtype;
  a.rows = gate.dim[0];
  a.width = gate.dim[1];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  SwigluArgs a;
  a.limit = static_cast<float>(attributes.Number("limit"));
  return TypedOp<SwigluArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<SwigluArgs>> SwigluKernels() { return kTable; }
const OpDef kSwiglu = {
    .name = "swiglu", .infer = Infer, .prepare = Prepare, .in_place = {.operand = 0, .result = 0}};

}  // namespace birkhoff::ops
