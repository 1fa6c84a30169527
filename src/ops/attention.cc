#include <fmt/format.h>

#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<AttentionArgs> kTable[] = {
    {.name = "cpu/avx512/attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, AttentionArgs>,
     .scratch = cpu::AttentionScratch,
     .run = cpu::avx512::Attention},
    {.name = "cpu/avx2/attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, AttentionArgs>,
     .scratch = cpu::AttentionScratch,
     .run = cpu::avx2::Attention},
    {.name = "cpu/generic/attention",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<AttentionArgs>,
     .scratch = cpu::AttentionScratch,
     .run = cpu::generic::Attention},
    {.name = "ref/attention",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<AttentionArgs>,
     .run = ref::Attention},
};

// Operands: q, kv, window, sink, and where the layer has a history: entries, selected.
constexpr std::size_t kEntries = 4;
constexpr std::size_t kSelected = 5;

Status CheckHistory(const Attributes& attributes, std::span<const ValueType> in) {
  const std::int64_t ratio = attributes.Int("ratio");
  const std::int64_t max_entries = attributes.Int("max_entries");
  if (in.size() <= kEntries) {
    if (ratio == 0) return {};
    return Status::InvalidArgument(
        fmt::format("attention: ratio {} needs entries, got {} operands", ratio, in.size()));
  }
  BK_RETURN_IF_ERROR(ExpectAtLeast("attention ratio", ratio, 1));
  BK_RETURN_IF_ERROR(ExpectAtLeast("attention max_entries", max_entries, 0));
  BK_RETURN_IF_ERROR(ExpectState("attention entries", in[kEntries], in[0].dtype, max_entries,
                                 in[0].shape[2].times));
  if (in.size() <= kSelected) return {};
  const ValueType& selected = in[kSelected];
  BK_RETURN_IF_ERROR(ExpectType("attention selected", selected, DType::kI32));
  BK_RETURN_IF_ERROR(ExpectRank("attention selected", selected, 2));
  return ExpectShape("attention selected", selected, {in[0].shape[0], selected.shape[1]});
}

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  if (in.size() < kEntries || in.size() > kSelected + 1)
    BK_RETURN_IF_ERROR(ExpectCount("attention", in, kEntries));
  const ValueType& q = in[0];
  BK_RETURN_IF_ERROR(ExpectFloat("attention q", q));
  BK_RETURN_IF_ERROR(ExpectRank("attention q", q, 3));
  BK_RETURN_IF_ERROR(ExpectType("attention kv", in[1], q.dtype));
  BK_RETURN_IF_ERROR(ExpectShape("attention kv", in[1], {q.shape[0], q.shape[2]}));
  const std::int64_t window = attributes.Int("window");
  BK_RETURN_IF_ERROR(ExpectAtLeast("attention window", window, 1));
  BK_RETURN_IF_ERROR(
      ExpectState("attention window state", in[2], q.dtype, window, q.shape[2].times));
  BK_RETURN_IF_ERROR(ExpectKind("attention sink", in[3], Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectShape("attention sink", in[3], {q.shape[1]}));
  BK_RETURN_IF_ERROR(CheckHistory(attributes, in));
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), q.shape)};
}

void Bind(const Call& call, AttentionArgs& a) {
  const Operand& q = call.in[0];
  a.q = q.data;
  a.type = q.dtype;
  a.tokens = q.dim[0];
  a.heads = q.dim[1];
  a.dim = q.dim[2];
  a.kv = call.in[1].data;
  a.window_ring = call.in[2].state();
  a.sink = static_cast<const float*>(call.in[3].data);
  if (call.in.size() > kEntries) a.entries = call.in[kEntries].state();
  if (call.in.size() > kSelected) {
    a.selected = static_cast<const std::int32_t*>(call.in[kSelected].data);
    a.topk = call.in[kSelected].dim[1];
  }
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  AttentionArgs a;
  a.window = attributes.Int("window");
  a.ratio = attributes.Int("ratio");
  a.max_entries = attributes.Int("max_entries");
  a.scale = static_cast<float>(attributes.Number("scale"));
  return TypedOp<AttentionArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<AttentionArgs>> AttentionKernels() { return kTable; }
const OpDef kAttention = {.name = "attention", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
