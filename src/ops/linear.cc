#include "kernels/args/linear.h"

#include <fmt/format.h>

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"
#include "ops/weight_formats.h"

namespace birkhoff::ops {
namespace {

template <CpuIsa kIsa>
Refusal Refuses(const LinearArgs& a, const Device& device) {
  if (Refusal isa = NeedsIsa(kIsa, device)) return isa;
  return RefusesWeights(a.w);
}

constexpr Kernel<LinearArgs> kTable[] = {
    {.name = "cpu/avx512/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx512>,
     .scratch = cpu::LinearScratch,
     .run = cpu::avx512::Linear},
    {.name = "cpu/avx2/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx2>,
     .scratch = cpu::LinearScratch,
     .run = cpu::avx2::Linear},
    {.name = "cpu/generic/linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kGeneric>,
     .scratch = cpu::LinearScratch,
     .run = cpu::generic::Linear},
    {.name = "ref/linear",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<LinearArgs>,
     .run = ref::Linear},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("linear", in, 2));
  const ValueType& x = in[0];
  const ValueType& w = in[1];
  const std::int64_t groups = attributes.Int("groups");
  BK_RETURN_IF_ERROR(ExpectKind("linear w", w, Kind::kMatrix));
  BK_RETURN_IF_ERROR(ExpectRank("linear w", w, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("linear x", x));
  if (groups < 1 || w.shape[0].times % groups != 0) {
    return Status::InvalidArgument(
        fmt::format("linear w: expected rows in {} equal groups, got {}", groups, w.ToString()));
  }
  const std::int64_t k = w.shape[1].times;
  if (x.shape.size() == 3) {
    BK_RETURN_IF_ERROR(ExpectShape("linear x", x, {x.shape[0], Const(groups), Const(k)}));
  } else {
    BK_RETURN_IF_ERROR(ExpectRank("linear x", x, 2));
    BK_RETURN_IF_ERROR(ExpectShape("linear x", x, {x.shape[0], Const(groups * k)}));
  }
  return std::vector<ValueType>{
      Activation(static_cast<DType>(attributes.Int("out")), {x.shape[0], w.shape[0]})};
}

void Bind(const Call& call, LinearArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.x_type = x.dtype;
  a.rows = x.dim[0];
  a.w = *call.in[1].matrices;
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  LinearArgs a;
  a.groups = attributes.Int("groups");
  return TypedOp<LinearArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<LinearArgs>> LinearKernels() { return kTable; }
const OpDef kLinear = {.name = "linear", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
