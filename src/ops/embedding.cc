#include "kernels/args/embedding.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

template <CpuIsa kIsa>
Refusal Refuses(const EmbeddingArgs& a, const Device& device) {
  const WeightFormat f = a.table.format;
  if (f != WeightFormat::kF32 && f != WeightFormat::kBF16 && f != WeightFormat::kF16)
    return Refusal("needs a table in F32, BF16 or F16, got block-scaled weights");
  return NeedsIsa(kIsa, device);
}

constexpr Kernel<EmbeddingArgs> kTable[] = {
    {.name = "cpu/avx512/embedding",
     .bits = "exact",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx512>,
     .run = cpu::avx512::Embedding},
    {.name = "cpu/avx2/embedding",
     .bits = "exact",
     .source = "own",
     .refuses = Refuses<CpuIsa::kAvx2>,
     .run = cpu::avx2::Embedding},
    {.name = "cpu/generic/embedding",
     .bits = "exact",
     .source = "own",
     .refuses = Refuses<CpuIsa::kGeneric>,
     .run = cpu::generic::Embedding},
    {.name = "ref/embedding",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<EmbeddingArgs>,
     .run = ref::Embedding},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("embedding", in, 2));
  BK_RETURN_IF_ERROR(ExpectType("embedding ids", in[0], DType::kI32));
  BK_RETURN_IF_ERROR(ExpectRank("embedding ids", in[0], 1));
  BK_RETURN_IF_ERROR(ExpectKind("embedding table", in[1], Kind::kMatrix));
  return std::vector<ValueType>{
      Activation(static_cast<DType>(attributes.Int("out")), {in[0].shape[0], in[1].shape[1]})};
}

void Bind(const Call& call, EmbeddingArgs& a) {
  a.ids = static_cast<const std::int32_t*>(call.in[0].data);
  a.table = *call.in[1].matrices;
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.tokens = call.in[0].dim[0];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<EmbeddingArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<EmbeddingArgs>> EmbeddingKernels() { return kTable; }
const OpDef kEmbedding = {.name = "embedding", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
