#include "kernels/args/elementwise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<AddArgs> kTable[] = {
    {.name = "cpu/avx512/add",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, AddArgs>,
     .run = cpu::avx512::Add},
    {.name = "cpu/avx2/add",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, AddArgs>,
     .run = cpu::avx2::Add},
    {.name = "cpu/generic/add",
     .bits = "exact",
     .source = "own",
     .refuses = Never<AddArgs>,
     .run = cpu::generic::Add},
    {.name = "ref/add",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<AddArgs>,
     .run = ref::Add},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("add", in, 2));
  const ValueType& a = in[0];
  const ValueType& b = in[1];
  BK_RETURN_IF_ERROR(ExpectFloat("add a", a));
  BK_RETURN_IF_ERROR(ExpectRank("add a", a, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("add b", b));
  if (b.shape.size() == 3) {
    BK_RETURN_IF_ERROR(ExpectShape("add b", b, {a.shape[0], b.shape[1], a.shape[1]}));
  } else {
    BK_RETURN_IF_ERROR(ExpectShape("add b", b, {a.shape[0], a.shape[1]}));
  }
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), b.shape)};
}

void Bind(const Call& call, AddArgs& a) {
  const Operand& b = call.in[1];
  a.a = call.in[0].data;
  a.a_type = call.in[0].dtype;
  a.b = b.data;
  a.b_type = b.dtype;
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.rows = b.dim[0];
  a.repeat = b.rank == 3 ? b.dim[1] : 1;
  a.width = b.dim[b.rank - 1];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<AddArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<AddArgs>> AddKernels() { return kTable; }
const OpDef kAdd = {
    .name = "add", .infer = Infer, .prepare = Prepare, .in_place = {.operand = 1, .result = 0}};

}  // namespace birkhoff::ops
