#include <fmt/format.h>

#include "kernels/args/rms_norm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<DualRmsNormArgs> kTable[] = {
    {.name = "gpu/dual_rms_norm",
     .bits = "f32x16",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<DualRmsNormArgs>,
     .run = gpu::DualRmsNorm},
    {.name = "cpu/avx512/dual_rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, DualRmsNormArgs>,
     .run = cpu::avx512::DualRmsNorm},
    {.name = "cpu/avx2/dual_rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, DualRmsNormArgs>,
     .run = cpu::avx2::DualRmsNorm},
    {.name = "cpu/generic/dual_rms_norm",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<DualRmsNormArgs>,
     .run = cpu::generic::DualRmsNorm},
    {.name = "ref/dual_rms_norm",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<DualRmsNormArgs>,
     .run = ref::DualRmsNorm},
};

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}, {1, Layout::kColumns}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("dual_rms_norm", in, 4));
  std::vector<ValueType> out;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string x = fmt::format("dual_rms_norm x{}", i);
    const std::string weight = fmt::format("dual_rms_norm weight{}", i);
    BK_RETURN_IF_ERROR(ExpectFloat(x, in[i]));
    BK_RETURN_IF_ERROR(ExpectType(x, in[i], in[0].dtype));
    BK_RETURN_IF_ERROR(ExpectRank(x, in[i], 2));
    BK_RETURN_IF_ERROR(ExpectShape(x, in[i], {in[0].shape[0], in[i].shape[1]}));
    BK_RETURN_IF_ERROR(ExpectKind(weight, in[2 + i], Kind::kVector));
    BK_RETURN_IF_ERROR(ExpectShape(weight, in[2 + i], {in[i].shape[1]}));
    const auto type = static_cast<DType>(attributes.Int(i == 0 ? "out0" : "out1"));
    out.push_back(Activation(type, in[i].shape));
  }
  return out;
}

void BindSide(const Operand& x, const Operand& weight, const Operand& out, RmsNormArgs& a) {
  a.x = x.data;
  a.x_type = x.dtype;
  a.x_row = x.row;
  a.weight = static_cast<const float*>(weight.data);
  a.out = out.data;
  a.out_type = out.dtype;
  a.rows = x.dim[0];
  a.width = x.dim[1];
}

void Bind(const Call& call, DualRmsNormArgs& a) {
  BindSide(call.in[0], call.in[2], call.out[0], a.first);
  BindSide(call.in[1], call.in[3], call.out[1], a.second);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  DualRmsNormArgs a;
  a.first.eps = static_cast<float>(attributes.Number("eps0"));
  a.second.eps = static_cast<float>(attributes.Number("eps1"));
  return TypedOp<DualRmsNormArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<DualRmsNormArgs>> DualRmsNormKernels() { return kTable; }
const OpDef kDualRmsNorm = {
    .name = "dual_rms_norm", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
