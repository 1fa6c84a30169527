#include "kernels/args/norm_rope.h"
#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/rope_checks.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<NormRopeWriteArgs> kTable[] = {
    {.name = "gpu/norm_rope_write",
     .bits = "f32x16",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<NormRopeWriteArgs>,
     .run = gpu::NormRopeWrite},
    {.name = "cpu/avx512/norm_rope_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, NormRopeWriteArgs>,
     .run = cpu::avx512::NormRopeWrite},
    {.name = "cpu/avx2/norm_rope_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, NormRopeWriteArgs>,
     .run = cpu::avx2::NormRopeWrite},
    {.name = "cpu/generic/norm_rope_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<NormRopeWriteArgs>,
     .run = cpu::generic::NormRopeWrite},
    {.name = "ref/norm_rope_write",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<NormRopeWriteArgs>,
     .run = ref::NormRopeWrite},
};

constexpr OpDef::Mutation kMutates[] = {{.operand = 6, .result = 1}, {.operand = 7, .result = 2}};
constexpr OpDef::Takes kTakes[] = {
    {0, Layout::kColumns}, {1, Layout::kColumns}, {2, Layout::kColumns}};

// x as [T, H, D], where D is the width of the norm: it may come as [T, H D].
Result<ValueType> Heads(std::string_view what, ValueType x, const ValueType& weight) {
  BK_RETURN_IF_ERROR(ExpectKind(fmt::format("{}_weight", what), weight, Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectRank(fmt::format("{}_weight", what), weight, 1));
  const std::int64_t dim = weight.shape[0].times;
  BK_RETURN_IF_ERROR(ExpectAtLeast(fmt::format("{}_weight", what), dim, 1));
  if (x.shape.size() == 2 && x.shape[1].times % dim == 0)
    x.shape = {x.shape[0], Const(x.shape[1].times / dim), Const(dim)};
  BK_RETURN_IF_ERROR(ExpectRank(what, x, 3));
  BK_RETURN_IF_ERROR(ExpectShape(what, x, {x.shape[0], x.shape[1], Const(dim)}));
  return x;
}

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("norm_rope_write", in, 8));
  BK_ASSIGN_OR_RETURN(const ValueType q, Heads("norm_rope_write q", in[0], in[4]));
  BK_ASSIGN_OR_RETURN(const ValueType k, Heads("norm_rope_write k", in[1], in[5]));
  BK_RETURN_IF_ERROR(ExpectRotation("norm_rope_write q", q, in[3]));
  BK_RETURN_IF_ERROR(ExpectRotation("norm_rope_write k", k, in[3]));
  const std::int64_t width = k.shape[1].times * k.shape[2].times;
  BK_RETURN_IF_ERROR(ExpectFloat("norm_rope_write v", in[2]));
  BK_RETURN_IF_ERROR(ExpectShape("norm_rope_write v", in[2], {q.shape[0], Const(width)}));
  for (const std::size_t state : {6, 7}) {
    const std::string_view what = state == 6 ? "norm_rope_write keys" : "norm_rope_write values";
    BK_RETURN_IF_ERROR(ExpectState(what, in[state], in[2].dtype, /*rows=*/1, width));
    BK_RETURN_IF_ERROR(
        ExpectShape(what, in[state], {in[6].shape[0], in[6].shape[1], in[6].shape[2]}));
  }
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), q.shape),
                                in[6], in[7]};
}

void BindHeads(const Operand& x, const Operand& table, const Operand& weight, NormRopeArgs& a) {
  BindRotation(x, table, a.rope);
  a.weight = static_cast<const float*>(weight.data);
  if (x.rank == 3) return;
  a.rope.dim = weight.dim[0];
  a.rope.heads = x.dim[1] / a.rope.dim;
  a.rope.x_row = a.rope.dim;
  a.rope.x_token = x.row;
}

void Bind(const Call& call, NormRopeWriteArgs& a) {
  BindHeads(call.in[0], call.in[3], call.in[4], a.q);
  BindHeads(call.in[1], call.in[3], call.in[5], a.k);
  a.q.rope.out = call.out[0].data;
  a.q.rope.out_type = call.out[0].dtype;
  a.v = call.in[2].data;
  a.v_row = call.in[2].row;
  a.keys = call.in[6].state();
  a.values = call.in[7].state();
  a.k.rope.out_type = call.in[6].dtype;
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  NormRopeWriteArgs a;
  a.q.eps = static_cast<float>(attributes.Number("q_eps"));
  a.k.eps = static_cast<float>(attributes.Number("k_eps"));
  a.q.rope.pairing = a.k.rope.pairing = PairingOf(attributes);
  return TypedOp<NormRopeWriteArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<NormRopeWriteArgs>> NormRopeWriteKernels() { return kTable; }
const OpDef kNormRopeWrite = {.name = "norm_rope_write",
                              .infer = Infer,
                              .prepare = Prepare,
                              .mutates = kMutates,
                              .takes = kTakes};

}  // namespace birkhoff::ops
