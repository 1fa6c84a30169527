#include "kernels/args/elementwise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<BroadcastArgs> kTable[] = {
    {.name = "cpu/avx512/broadcast",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, BroadcastArgs>,
     .run = cpu::avx512::Broadcast},
    {.name = "cpu/avx2/broadcast",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, BroadcastArgs>,
     .run = cpu::avx2::Broadcast},
    {.name = "cpu/generic/broadcast",
     .bits = "exact",
     .source = "own",
     .refuses = Never<BroadcastArgs>,
     .run = cpu::generic::Broadcast},
    {.name = "ref/broadcast",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<BroadcastArgs>,
     .run = ref::Broadcast},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("broadcast", in, 1));
  BK_RETURN_IF_ERROR(ExpectKind("broadcast x", in[0], Kind::kActivation));
  BK_RETURN_IF_ERROR(ExpectRank("broadcast x", in[0], 2));
  const Extent copies = Const(attributes.Int("copies"));
  return std::vector<ValueType>{Activation(in[0].dtype, {in[0].shape[0], copies, in[0].shape[1]})};
}

void Bind(const Call& call, BroadcastArgs& a) {
  const Operand& out = call.out[0];
  a.x = call.in[0].data;
  a.out = out.data;
  a.type = out.dtype;
  a.rows = out.dim[0];
  a.copies = out.dim[1];
  a.width = out.dim[2];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<BroadcastArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<BroadcastArgs>> BroadcastKernels() { return kTable; }
const OpDef kBroadcast = {.name = "broadcast", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
