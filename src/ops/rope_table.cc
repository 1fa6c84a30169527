#include "kernels/args/rope.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RopeTableArgs> kTable[] = {
    {.name = "cpu/avx512/rope_table",
     .bits = "libm",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RopeTableArgs>,
     .run = cpu::avx512::RopeTable},
    {.name = "cpu/avx2/rope_table",
     .bits = "libm",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RopeTableArgs>,
     .run = cpu::avx2::RopeTable},
    {.name = "cpu/generic/rope_table",
     .bits = "libm",
     .source = "own",
     .refuses = Never<RopeTableArgs>,
     .run = cpu::generic::RopeTable},
    {.name = "ref/rope_table",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RopeTableArgs>,
     .run = ref::RopeTable},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("rope_table", in, 2));
  BK_RETURN_IF_ERROR(ExpectType("rope_table positions", in[0], DType::kI32));
  BK_RETURN_IF_ERROR(ExpectRank("rope_table positions", in[0], 1));
  BK_RETURN_IF_ERROR(ExpectKind("rope_table frequency", in[1], Kind::kFrequency));
  BK_RETURN_IF_ERROR(ExpectRank("rope_table frequency", in[1], 1));
  return std::vector<ValueType>{
      Activation(DType::kF32, {in[0].shape[0], in[1].shape[0], Const(2)})};
}

void Bind(const Call& call, RopeTableArgs& a) {
  a.positions = static_cast<const std::int32_t*>(call.in[0].data);
  a.frequency = static_cast<const double*>(call.in[1].data);
  a.table = static_cast<float*>(call.out[0].data);
  a.tokens = call.in[0].dim[0];
  a.pairs = call.in[1].dim[0];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RopeTableArgs a;
  a.precise = attributes.Flag("precise");
  return TypedOp<RopeTableArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RopeTableArgs>> RopeTableKernels() { return kTable; }
const OpDef kRopeTable = {.name = "rope_table", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
