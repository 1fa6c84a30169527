#include "kernels/args/rms_norm.h"

#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RmsNormArgs> kTable[] = {
    {.name = "gpu/rms_norm",
     .bits = "f32x16",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<RmsNormArgs>,
     .run = gpu::RmsNorm},
    {.name = "cpu/avx512/rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RmsNormArgs>,
     .run = cpu::avx512::RmsNorm},
    {.name = "cpu/avx2/rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RmsNormArgs>,
     .run = cpu::avx2::RmsNorm},
    {.name = "cpu/generic/rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<RmsNormArgs>,
     .run = cpu::generic::RmsNorm},
    {.name = "ref/rms_norm",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RmsNormArgs>,
     .run = ref::RmsNorm},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  if (in.size() != 1) BK_RETURN_IF_ERROR(ExpectCount("rms_norm", in, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("rms_norm x", in[0]));
  if (in.size() == 2) {
    BK_RETURN_IF_ERROR(ExpectKind("rms_norm weight", in[1], Kind::kVector));
    BK_RETURN_IF_ERROR(ExpectShape("rms_norm weight", in[1], {in[0].shape.back()}));
  }
  return std::vector<ValueType>{Activation(static_cast<DType>(attributes.Int("out")), in[0].shape)};
}

void Bind(const Call& call, RmsNormArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.x_type = x.dtype;
  a.weight = call.in.size() > 1 ? static_cast<const float*>(call.in[1].data) : nullptr;
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.width = x.dim[x.rank - 1];
  a.x_row = x.row;
  a.rows = 1;
  for (int i = 0; i + 1 < x.rank; ++i) a.rows *= x.dim[i];
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RmsNormArgs a;
  a.eps = static_cast<float>(attributes.Number("eps"));
  return TypedOp<RmsNormArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RmsNormArgs>> RmsNormKernels() { return kTable; }
const OpDef kRmsNorm = {.name = "rms_norm", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
