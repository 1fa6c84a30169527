#include <fmt/format.h>

#include "kernels/args/elementwise.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<ConcatArgs> kTable[] = {
    {.name = "cpu/avx512/concat",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, ConcatArgs>,
     .run = cpu::avx512::Concat},
    {.name = "cpu/avx2/concat",
     .bits = "exact",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, ConcatArgs>,
     .run = cpu::avx2::Concat},
    {.name = "cpu/generic/concat",
     .bits = "exact",
     .source = "own",
     .refuses = Never<ConcatArgs>,
     .run = cpu::generic::Concat},
    {.name = "ref/concat",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<ConcatArgs>,
     .run = ref::Concat},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}, {1, Layout::kColumns}};

Status ExpectRows(std::string_view what, const ValueType& v) {
  BK_RETURN_IF_ERROR(ExpectKind(what, v, Kind::kActivation));
  if (v.shape.size() >= 2 && v.shape.back().symbol == Symbol::kOne) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected rows of a constant width, got {}", what, v.ToString()));
}

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("concat", in, 2));
  const ValueType& a = in[0];
  const ValueType& b = in[1];
  BK_RETURN_IF_ERROR(ExpectRows("concat a", a));
  BK_RETURN_IF_ERROR(ExpectRows("concat b", b));
  BK_RETURN_IF_ERROR(ExpectType("concat b", b, a.dtype));
  std::vector<Extent> shape = b.shape;
  shape.back() = a.shape.back();
  if (shape != a.shape) {
    return Status::InvalidArgument(fmt::format(
        "concat b: expected the leading extents of {}, got {}", a.ToString(), b.ToString()));
  }
  shape.back().times += b.shape.back().times;
  return std::vector<ValueType>{Activation(a.dtype, std::move(shape))};
}

void Bind(const Call& call, ConcatArgs& args) {
  const Operand& a = call.in[0];
  const Operand& b = call.in[1];
  args.a = a.data;
  args.a_width = a.dim[a.rank - 1];
  args.a_row = a.row;
  args.b = b.data;
  args.b_width = b.dim[b.rank - 1];
  args.b_row = b.row;
  args.out = call.out[0].data;
  args.type = a.dtype;
  args.rows = 1;
  for (int i = 0; i + 1 < a.rank; ++i) args.rows *= a.dim[i];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<ConcatArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<ConcatArgs>> ConcatKernels() { return kTable; }
const OpDef kConcat = {.name = "concat", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
