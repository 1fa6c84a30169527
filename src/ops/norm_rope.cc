#include "kernels/args/norm_rope.h"
#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/rope_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<NormRopeArgs> kTable[] = {
    {.name = "gpu/norm_rope",
     .bits = "f32x16",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<NormRopeArgs>,
     .run = gpu::NormRope},
    {.name = "cpu/avx512/norm_rope",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, NormRopeArgs>,
     .run = cpu::avx512::NormRope},
    {.name = "cpu/avx2/norm_rope",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, NormRopeArgs>,
     .run = cpu::avx2::NormRope},
    {.name = "cpu/generic/norm_rope",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<NormRopeArgs>,
     .run = cpu::generic::NormRope},
    {.name = "ref/norm_rope",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<NormRopeArgs>,
     .run = ref::NormRope},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  if (in.size() != 2) BK_RETURN_IF_ERROR(ExpectCount("norm_rope", in, 3));
  BK_RETURN_IF_ERROR(ExpectRank("norm_rope x", in[0], 3));
  BK_RETURN_IF_ERROR(ExpectRotation("norm_rope", in[0], in[1]));
  if (in.size() == 3) {
    BK_RETURN_IF_ERROR(ExpectKind("norm_rope weight", in[2], Kind::kVector));
    BK_RETURN_IF_ERROR(ExpectShape("norm_rope weight", in[2], {in[0].shape[2]}));
  }
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), in[0].shape)};
}

void Bind(const Call& call, NormRopeArgs& a) {
  BindRotation(call.in[0], call.in[1], a.rope);
  a.weight = call.in.size() > 2 ? static_cast<const float*>(call.in[2].data) : nullptr;
  a.rope.out = call.out[0].data;
  a.rope.out_type = call.out[0].dtype;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  NormRopeArgs a;
  a.eps = static_cast<float>(attributes.Number("eps"));
  a.rope.pairing = PairingOf(attributes);
  return TypedOp<NormRopeArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<NormRopeArgs>> NormRopeKernels() { return kTable; }
const OpDef kNormRope = {.name = "norm_rope",
                         .infer = Infer,
                         .prepare = Prepare,
                         .in_place = {.operand = 0, .result = 0},
                         .takes = kTakes};

}  // namespace birkhoff::ops
