#include "kernels/args/rope.h"
#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/rope_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RopeArgs> kTable[] = {
    {.name = "gpu/rope",
     .bits = "f32",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<RopeArgs>,
     .run = gpu::Rope},
    {.name = "cpu/avx512/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RopeArgs>,
     .run = cpu::avx512::Rope},
    {.name = "cpu/avx2/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RopeArgs>,
     .run = cpu::avx2::Rope},
    {.name = "cpu/generic/rope",
     .bits = "f32",
     .source = "own",
     .refuses = Never<RopeArgs>,
     .run = cpu::generic::Rope},
    {.name = "ref/rope",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RopeArgs>,
     .run = ref::Rope},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("rope", in, 2));
  if (in[0].shape.size() != 2) BK_RETURN_IF_ERROR(ExpectRank("rope x", in[0], 3));
  BK_RETURN_IF_ERROR(ExpectRotation("rope", in[0], in[1]));
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), in[0].shape)};
}

void Bind(const Call& call, RopeArgs& a) {
  BindRotation(call.in[0], call.in[1], a);
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RopeArgs a;
  a.inverse = attributes.Flag("inverse");
  a.pairing = PairingOf(attributes);
  return TypedOp<RopeArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RopeArgs>> RopeKernels() { return kTable; }
const OpDef kRope = {.name = "rope",
                     .infer = Infer,
                     .prepare = Prepare,
                     .in_place = {.operand = 0, .result = 0},
                     .takes = kTakes};

}  // namespace birkhoff::ops
