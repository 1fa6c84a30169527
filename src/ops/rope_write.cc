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

constexpr Kernel<RopeWriteArgs> kTable[] = {
    {.name = "gpu/rope_write",
     .bits = "f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<RopeWriteArgs>,
     .run = gpu::RopeWrite},
    {.name = "cpu/avx512/rope_write",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RopeWriteArgs>,
     .run = cpu::avx512::RopeWrite},
    {.name = "cpu/avx2/rope_write",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RopeWriteArgs>,
     .run = cpu::avx2::RopeWrite},
    {.name = "cpu/generic/rope_write",
     .bits = "f32",
     .source = "own",
     .refuses = Never<RopeWriteArgs>,
     .run = cpu::generic::RopeWrite},
    {.name = "ref/rope_write",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RopeWriteArgs>,
     .run = ref::RopeWrite},
};

constexpr OpDef::Mutation kMutates[] = {{.operand = 3, .result = 0}};
constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}, {1, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("rope_write", in, 4));
  const ValueType& c = in[0];
  const ValueType& k_pe = in[1];
  BK_RETURN_IF_ERROR(ExpectFloat("rope_write c", c));
  BK_RETURN_IF_ERROR(ExpectRank("rope_write c", c, 2));
  BK_RETURN_IF_ERROR(ExpectRank("rope_write k_pe", k_pe, 2));
  BK_RETURN_IF_ERROR(ExpectRotation("rope_write k_pe", k_pe, in[2]));
  BK_RETURN_IF_ERROR(
      ExpectShape("rope_write k_pe", k_pe, {c.shape[0], Const(2 * in[2].shape[1].times)}));
  BK_RETURN_IF_ERROR(ExpectState("rope_write latent", in[3], c.dtype, /*rows=*/1,
                                 c.shape[1].times + k_pe.shape[1].times));
  return std::vector<ValueType>{in[3]};
}

void Bind(const Call& call, RopeWriteArgs& a) {
  a.c = call.in[0].data;
  a.c_row = call.in[0].row;
  a.c_width = call.in[0].dim[1];
  BindRotation(call.in[1], call.in[2], a.k_pe);
  a.k_pe.out_type = call.in[3].dtype;
  a.latent = call.in[3].state();
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RopeWriteArgs a;
  a.k_pe.pairing = PairingOf(attributes);
  return TypedOp<RopeWriteArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RopeWriteArgs>> RopeWriteKernels() { return kTable; }
const OpDef kRopeWrite = {
    .name = "rope_write", .infer = Infer, .prepare = Prepare, .mutates = kMutates, .takes = kTakes};

}  // namespace birkhoff::ops
