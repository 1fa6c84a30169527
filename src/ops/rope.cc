#include <fmt/format.h>

#include "kernels/args/rope.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RopeArgs> kTable[] = {
    {.name = "cpu/avx512/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RopeArgs>,
     .run = cpu::avx512::Rope},
    {.name = "cpu/avx2/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RopeArgs>,
     .run = cpu::avx2::Rope},
    {.name = "cpu/generic/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Never<RopeArgs>,
     .run = cpu::generic::Rope},
    {.name = "ref/rope",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RopeArgs>,
     .run = ref::Rope},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("rope", in, 2));
  const ValueType& x = in[0];
  const ValueType& table = in[1];
  BK_RETURN_IF_ERROR(ExpectFloat("rope x", x));
  if (x.shape.size() != 2) BK_RETURN_IF_ERROR(ExpectRank("rope x", x, 3));
  BK_RETURN_IF_ERROR(ExpectType("rope table", table, DType::kF32));
  BK_RETURN_IF_ERROR(ExpectRank("rope table", table, 3));
  BK_RETURN_IF_ERROR(ExpectShape("rope table", table, {x.shape[0], table.shape[1], Const(2)}));
  if (2 * table.shape[1].times > x.shape.back().times) {
    return Status::InvalidArgument(
        fmt::format("rope: {} pairs do not fit into {}", table.shape[1].times, x.ToString()));
  }
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), x.shape)};
}

void Bind(const Call& call, RopeArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.x_type = x.dtype;
  a.table = static_cast<const float*>(call.in[1].data);
  a.pairs = call.in[1].dim[1];
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.tokens = x.dim[0];
  a.heads = x.rank == 3 ? x.dim[1] : 1;
  a.dim = x.dim[x.rank - 1];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RopeArgs a;
  a.inverse = attributes.Flag("inverse");
  return TypedOp<RopeArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RopeArgs>> RopeKernels() { return kTable; }
const OpDef kRope = {
    .name = "rope", .infer = Infer, .prepare = Prepare, .in_place = {.operand = 0, .result = 0}};

}  // namespace birkhoff::ops
