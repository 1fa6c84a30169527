#include "kernels/args/elementwise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<GatherRowsArgs> kTable[] = {
    {.name = "cpu/avx512/gather_rows",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, GatherRowsArgs>,
     .run = cpu::avx512::GatherRows},
    {.name = "cpu/avx2/gather_rows",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, GatherRowsArgs>,
     .run = cpu::avx2::GatherRows},
    {.name = "cpu/generic/gather_rows",
     .bits = "exact",
     .source = "own",
     .refuses = Never<GatherRowsArgs>,
     .run = cpu::generic::GatherRows},
    {.name = "ref/gather_rows",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<GatherRowsArgs>,
     .run = ref::GatherRows},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("gather_rows", in, 2));
  BK_RETURN_IF_ERROR(ExpectKind("gather_rows x", in[0], Kind::kActivation));
  BK_RETURN_IF_ERROR(ExpectType("gather_rows index", in[1], DType::kI32));
  BK_RETURN_IF_ERROR(ExpectRank("gather_rows index", in[1], 1));
  ValueType out = in[0];
  if (out.shape.empty()) return ExpectRank("gather_rows x", out, 2);
  out.shape[0] = in[1].shape[0];
  return std::vector<ValueType>{std::move(out)};
}

void Bind(const Call& call, GatherRowsArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.index = static_cast<const std::int32_t*>(call.in[1].data);
  a.out = call.out[0].data;
  a.type = x.dtype;
  a.rows = call.in[1].dim[0];
  a.width = 1;
  for (int i = 1; i < x.rank; ++i) a.width *= x.dim[i];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<GatherRowsArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<GatherRowsArgs>> GatherRowsKernels() { return kTable; }
const OpDef kGatherRows = {.name = "gather_rows", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
