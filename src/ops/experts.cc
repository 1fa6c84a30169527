#include "kernels/args/moe.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"
#include "ops/weight_formats.h"

namespace birkhoff::ops {
namespace {

template <CpuIsa kIsa>
Refusal Refuses(const ExpertsArgs& a, const Device& device) {
  if (Refusal isa = NeedsIsa(kIsa, device)) return isa;
  for (const WeightMatrix* w : {a.w1, a.w3, a.w2}) {
    for (std::int64_t e = 0; e < a.experts; ++e) {
      if (Refusal weights = RefusesWeights(w[e])) return weights;
    }
  }
  return {};
}

constexpr Kernel<ExpertsArgs> kTable[] = {
    {.name = "cpu/avx512/experts",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx512>,
     .scratch = cpu::ExpertsScratch,
     .run = cpu::avx512::Experts},
    {.name = "cpu/avx2/experts",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx2>,
     .scratch = cpu::ExpertsScratch,
     .run = cpu::avx2::Experts},
    {.name = "cpu/generic/experts",
     .bits = "f32x16",
     .source = "own",
     .refuses = Refuses<CpuIsa::kGeneric>,
     .scratch = cpu::ExpertsScratch,
     .run = cpu::generic::Experts},
    {.name = "ref/experts",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<ExpertsArgs>,
     .run = ref::Experts},
};

Status ExpectExperts(std::string_view what, const ValueType& w, Extent experts, Extent rows,
                     Extent cols) {
  BK_RETURN_IF_ERROR(ExpectKind(what, w, Kind::kMatrices));
  return ExpectShape(what, w, {experts, rows, cols});
}

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("experts", in, 6));
  const ValueType& x = in[0];
  const ValueType& expert = in[1];
  const ValueType& w1 = in[3];
  BK_RETURN_IF_ERROR(ExpectFloat("experts x", x));
  BK_RETURN_IF_ERROR(ExpectRank("experts x", x, 2));
  const Extent tokens = x.shape[0];
  const Extent hidden = x.shape[1];
  BK_RETURN_IF_ERROR(ExpectType("experts expert", expert, DType::kI32));
  BK_RETURN_IF_ERROR(ExpectRank("experts expert", expert, 2));
  BK_RETURN_IF_ERROR(ExpectShape("experts expert", expert, {tokens, expert.shape[1]}));
  BK_RETURN_IF_ERROR(ExpectType("experts weight", in[2], DType::kF32));
  BK_RETURN_IF_ERROR(ExpectShape("experts weight", in[2], {tokens, expert.shape[1]}));
  BK_RETURN_IF_ERROR(ExpectKind("experts w1", w1, Kind::kMatrices));
  BK_RETURN_IF_ERROR(ExpectRank("experts w1", w1, 3));
  const Extent experts = w1.shape[0];
  const Extent width = w1.shape[1];
  BK_RETURN_IF_ERROR(ExpectExperts("experts w1", w1, experts, width, hidden));
  BK_RETURN_IF_ERROR(ExpectExperts("experts w3", in[4], experts, width, hidden));
  BK_RETURN_IF_ERROR(ExpectExperts("experts w2", in[5], experts, hidden, width));
  return std::vector<ValueType>{Activation(DType::kF32, {tokens, hidden})};
}

void Bind(const Call& call, ExpertsArgs& a) {
  a.x = call.in[0].data;
  a.type = call.in[0].dtype;
  a.tokens = call.in[0].dim[0];
  a.expert = static_cast<const std::int32_t*>(call.in[1].data);
  a.k = call.in[1].dim[1];
  a.weight = static_cast<const float*>(call.in[2].data);
  a.w1 = call.in[3].matrices;
  a.experts = call.in[3].dim[0];
  a.w3 = call.in[4].matrices;
  a.w2 = call.in[5].matrices;
  a.out = static_cast<float*>(call.out[0].data);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  ExpertsArgs a;
  a.limit = static_cast<float>(attributes.Number("limit"));
  return TypedOp<ExpertsArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<ExpertsArgs>> ExpertsKernels() { return kTable; }
const OpDef kExperts = {.name = "experts", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
