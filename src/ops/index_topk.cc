#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<IndexTopkArgs> kTable[] = {
    {.name = "cpu/avx512/index_topk",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, IndexTopkArgs>,
     .scratch = cpu::IndexTopkScratch,
     .run = cpu::avx512::IndexTopk},
    {.name = "cpu/avx2/index_topk",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, IndexTopkArgs>,
     .scratch = cpu::IndexTopkScratch,
     .run = cpu::avx2::IndexTopk},
    {.name = "cpu/generic/index_topk",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<IndexTopkArgs>,
     .scratch = cpu::IndexTopkScratch,
     .run = cpu::generic::IndexTopk},
    {.name = "ref/index_topk",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<IndexTopkArgs>,
     .run = ref::IndexTopk},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("index_topk", in, 3));
  const ValueType& q = in[0];
  BK_RETURN_IF_ERROR(ExpectFloat("index_topk q", q));
  BK_RETURN_IF_ERROR(ExpectRank("index_topk q", q, 3));
  BK_RETURN_IF_ERROR(ExpectType("index_topk weight", in[1], DType::kF32));
  BK_RETURN_IF_ERROR(ExpectShape("index_topk weight", in[1], {q.shape[0], q.shape[1]}));
  const std::int64_t max_entries = attributes.Int("max_entries");
  BK_RETURN_IF_ERROR(ExpectAtLeast("index_topk ratio", attributes.Int("ratio"), 1));
  BK_RETURN_IF_ERROR(ExpectAtLeast("index_topk topk", attributes.Int("topk"), 1));
  BK_RETURN_IF_ERROR(ExpectAtLeast("index_topk max_entries", max_entries, 0));
  BK_RETURN_IF_ERROR(ExpectState("index_topk keys", in[2], q.dtype, max_entries, q.shape[2].times));
  return std::vector<ValueType>{
      Activation(DType::kI32, {q.shape[0], Const(attributes.Int("topk"))})};
}

void Bind(const Call& call, IndexTopkArgs& a) {
  const Operand& q = call.in[0];
  a.q = q.data;
  a.type = q.dtype;
  a.tokens = q.dim[0];
  a.heads = q.dim[1];
  a.dim = q.dim[2];
  a.weight = static_cast<const float*>(call.in[1].data);
  a.keys = call.in[2].state();
  a.selected = static_cast<std::int32_t*>(call.out[0].data);
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  IndexTopkArgs a;
  a.ratio = attributes.Int("ratio");
  a.topk = attributes.Int("topk");
  a.max_entries = attributes.Int("max_entries");
  a.scale = static_cast<float>(attributes.Number("scale"));
  return TypedOp<IndexTopkArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<IndexTopkArgs>> IndexTopkKernels() { return kTable; }
const OpDef kIndexTopk = {.name = "index_topk", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
