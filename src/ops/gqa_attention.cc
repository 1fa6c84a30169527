#include "kernels/args/gqa_attention.h"

#include <fmt/format.h>

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<GqaAttentionArgs> kTable[] = {
    {.name = "cpu/avx512/gqa_attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, GqaAttentionArgs>,
     .scratch = cpu::GqaAttentionScratch,
     .run = cpu::avx512::GqaAttention},
    {.name = "cpu/avx2/gqa_attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, GqaAttentionArgs>,
     .scratch = cpu::GqaAttentionScratch,
     .run = cpu::avx2::GqaAttention},
    {.name = "cpu/generic/gqa_attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<GqaAttentionArgs>,
     .scratch = cpu::GqaAttentionScratch,
     .run = cpu::generic::GqaAttention},
    {.name = "ref/gqa_attention",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<GqaAttentionArgs>,
     .run = ref::GqaAttention},
};

// Operands: q, keys, and unless a value is the beginning of its key: values.
Status CheckStates(std::span<const ValueType> in, std::int64_t key_heads, std::int64_t value_dim) {
  const ValueType& keys = in[1];
  const std::int64_t dim = in[0].shape[2].times;
  BK_RETURN_IF_ERROR(ExpectState("gqa_attention keys", keys, in[0].dtype, 1, key_heads * dim));
  if (in.size() == 2) {
    if (value_dim <= dim) return {};
    return Status::InvalidArgument(
        fmt::format("gqa_attention value_dim: expected at most the {} channels of a key, got {}",
                    dim, value_dim));
  }
  return ExpectState("gqa_attention values", in[2], in[0].dtype, keys.shape[1].times,
                     key_heads * value_dim);
}

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  if (in.size() != 2) BK_RETURN_IF_ERROR(ExpectCount("gqa_attention", in, 3));
  const ValueType& q = in[0];
  BK_RETURN_IF_ERROR(ExpectFloat("gqa_attention q", q));
  BK_RETURN_IF_ERROR(ExpectRank("gqa_attention q", q, 3));
  const std::int64_t key_heads = attributes.Int("key_heads");
  const std::int64_t value_dim = attributes.Int("value_dim");
  BK_RETURN_IF_ERROR(ExpectAtLeast("gqa_attention key_heads", key_heads, 1));
  BK_RETURN_IF_ERROR(ExpectAtLeast("gqa_attention value_dim", value_dim, 1));
  if (q.shape[1].times % key_heads != 0) {
    return Status::InvalidArgument(fmt::format(
        "gqa_attention q: expected a multiple of {} heads, got {}", key_heads, q.ToString()));
  }
  BK_RETURN_IF_ERROR(CheckStates(in, key_heads, value_dim));
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")),
                                           {q.shape[0], q.shape[1], Const(value_dim)})};
}

void Bind(const Call& call, GqaAttentionArgs& a) {
  const Operand& q = call.in[0];
  a.q = q.data;
  a.type = q.dtype;
  a.tokens = q.dim[0];
  a.heads = q.dim[1];
  a.dim = q.dim[2];
  a.keys = call.in[1].state();
  if (call.in.size() > 2) a.values = call.in[2].state();
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  GqaAttentionArgs a;
  a.key_heads = attributes.Int("key_heads");
  a.value_dim = attributes.Int("value_dim");
  a.scale = static_cast<float>(attributes.Number("scale"));
  return TypedOp<GqaAttentionArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<GqaAttentionArgs>> GqaAttentionKernels() { return kTable; }
const OpDef kGqaAttention = {.name = "gqa_attention", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
