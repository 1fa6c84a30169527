#include "kernels/args/head_linear.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"
#include "ops/weight_formats.h"

namespace birkhoff::ops {
namespace {

template <CpuIsa kIsa>
Refusal Refuses(const HeadLinearArgs& a, const Device& device) {
  if (Refusal isa = NeedsIsa(kIsa, device)) return isa;
  return RefusesWeights(*a.w);
}

constexpr Kernel<HeadLinearArgs> kTable[] = {
    {.name = "cpu/avx512/head_linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx512>,
     .scratch = cpu::HeadLinearScratch,
     .run = cpu::avx512::HeadLinear},
    {.name = "cpu/avx2/head_linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx2>,
     .scratch = cpu::HeadLinearScratch,
     .run = cpu::avx2::HeadLinear},
    {.name = "cpu/generic/head_linear",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kGeneric>,
     .scratch = cpu::HeadLinearScratch,
     .run = cpu::generic::HeadLinear},
    {.name = "ref/head_linear",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<HeadLinearArgs>,
     .run = ref::HeadLinear},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("head_linear", in, 2));
  const ValueType& x = in[0];
  const ValueType& w = in[1];
  BK_RETURN_IF_ERROR(ExpectKind("head_linear w", w, Kind::kMatrices));
  BK_RETURN_IF_ERROR(ExpectRank("head_linear w", w, 3));
  BK_RETURN_IF_ERROR(ExpectFloat("head_linear x", x));
  BK_RETURN_IF_ERROR(ExpectRank("head_linear x", x, 3));
  const bool transposed = attributes.Flag("transposed");
  const Extent k = w.shape[transposed ? 1 : 2];
  BK_RETURN_IF_ERROR(ExpectShape("head_linear x", x, {x.shape[0], w.shape[0], k}));
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")),
                                           {x.shape[0], x.shape[1], w.shape[transposed ? 2 : 1]})};
}

void Bind(const Call& call, HeadLinearArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.x_type = x.dtype;
  a.tokens = x.dim[0];
  a.heads = x.dim[1];
  a.x_row = x.row;
  a.w = call.in[1].matrices;
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  HeadLinearArgs a;
  a.transposed = attributes.Flag("transposed");
  return TypedOp<HeadLinearArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<HeadLinearArgs>> HeadLinearKernels() { return kTable; }
const OpDef kHeadLinear = {
    .name = "head_linear", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
