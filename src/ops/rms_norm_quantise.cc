#include "kernels/args/quantise.h"

#include "kernels/cpu/kernels.h"
#include "kernels/gpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/fp8_results.h"
#include "ops/tables.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RmsNormQuantiseArgs> kTable[] = {
    {.name = "gpu/rms_norm_quantise",
     .bits = "f32x16",
     .source = "own",
     .device = DeviceKind::kGpu,
     .refuses = NeedsGpu<RmsNormQuantiseArgs>,
     .run = gpu::RmsNormQuantise},
    {.name = "cpu/avx512/rms_norm_quantise",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RmsNormQuantiseArgs>,
     .run = cpu::avx512::RmsNormQuantise},
    {.name = "cpu/avx2/rms_norm_quantise",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RmsNormQuantiseArgs>,
     .run = cpu::avx2::RmsNormQuantise},
    {.name = "cpu/generic/rms_norm_quantise",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<RmsNormQuantiseArgs>,
     .run = cpu::generic::RmsNormQuantise},
    {.name = "ref/rms_norm_quantise",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RmsNormQuantiseArgs>,
     .run = ref::RmsNormQuantise},
};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("rms_norm_quantise", in, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("rms_norm_quantise x", in[0]));
  BK_RETURN_IF_ERROR(ExpectRank("rms_norm_quantise x", in[0], 2));
  BK_RETURN_IF_ERROR(ExpectKind("rms_norm_quantise weight", in[1], Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectShape("rms_norm_quantise weight", in[1], {in[0].shape[1]}));
  const ValueType out = Activation(static_cast<DType>(attributes.Int("out")), in[0].shape);
  BK_RETURN_IF_ERROR(ExpectFloat("rms_norm_quantise out", out));
  BK_ASSIGN_OR_RETURN(std::vector<ValueType> results,
                      Fp8Types("rms_norm_quantise", in[0].shape, attributes));
  results.insert(results.begin(), out);
  return results;
}

void Bind(const Call& call, RmsNormQuantiseArgs& a) {
  const Operand& x = call.in[0];
  a.x = x.data;
  a.x_type = x.dtype;
  a.weight = static_cast<const float*>(call.in[1].data);
  a.out = call.out[0].data;
  a.out_type = call.out[0].dtype;
  a.rows = x.dim[0];
  a.width = x.dim[1];
  a.x_row = x.row;
  BindFp8(call.out.subspan(1), a.fp8);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RmsNormQuantiseArgs a;
  a.eps = static_cast<float>(attributes.Number("eps"));
  a.fp8.format = Fp8FormatOf(attributes);
  return TypedOp<RmsNormQuantiseArgs, Bind>::Make(kTable, a, largest, options);
}

constexpr OpDef::Takes kTakes[] = {{0, Layout::kColumns}};

}  // namespace

std::span<const Kernel<RmsNormQuantiseArgs>> RmsNormQuantiseKernels() { return kTable; }
const OpDef kRmsNormQuantise = {
    .name = "rms_norm_quantise", .infer = Infer, .prepare = Prepare, .takes = kTakes};

}  // namespace birkhoff::ops
