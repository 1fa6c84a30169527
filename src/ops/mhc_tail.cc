#include "kernels/args/mhc.h"

#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/mhc_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<MhcTailArgs> kTable[] = {
    {.name = "cpu/avx512/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, MhcTailArgs>,
     .run = cpu::avx512::MhcTail},
    {.name = "cpu/avx2/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, MhcTailArgs>,
     .run = cpu::avx2::MhcTail},
    {.name = "cpu/generic/mhc_tail",
     .bits = "mhc f32",
     .source = "own",
     .refuses = Never<MhcTailArgs>,
     .run = cpu::generic::MhcTail},
    {.name = "ref/mhc_tail",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<MhcTailArgs>,
     .run = ref::MhcTail},
};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("mhc_tail", in, 8));
  const ValueType& streams = in[1];
  BK_RETURN_IF_ERROR(ExpectStreams("mhc_tail", streams));
  const Extent t = streams.shape[0];
  const Extent hc = streams.shape[1];
  const Extent hidden = streams.shape[2];
  BK_RETURN_IF_ERROR(ExpectType("mhc_tail x", in[0], streams.dtype));
  BK_RETURN_IF_ERROR(ExpectShape("mhc_tail x", in[0], {t, hidden}));
  BK_RETURN_IF_ERROR(ExpectCoefficients("mhc_tail post", in[2], {t, hc}));
  BK_RETURN_IF_ERROR(ExpectCoefficients("mhc_tail comb", in[3], {t, hc, hc}));
  BK_RETURN_IF_ERROR(ExpectMhcParameters("mhc_tail", streams, in.subspan(4), hc.times, 1));
  BK_RETURN_IF_ERROR(ExpectKind("mhc_tail norm", in[7], Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectShape("mhc_tail norm", in[7], {hidden}));
  return std::vector<ValueType>{Activation(streams.dtype, streams.shape),
                                Activation(streams.dtype, {t, hidden})};
}

void Bind(const Call& call, MhcTailArgs& a) {
  const Operand& streams = call.in[1];
  a.x = call.in[0].data;
  a.streams = streams.data;
  a.type = streams.dtype;
  a.tokens = streams.dim[0];
  a.hc = streams.dim[1];
  a.hidden = streams.dim[2];
  a.post = static_cast<const float*>(call.in[2].data);
  a.comb = static_cast<const float*>(call.in[3].data);
  a.fn = static_cast<const float*>(call.in[4].data);
  a.base = static_cast<const float*>(call.in[5].data);
  a.scale = static_cast<const float*>(call.in[6].data);
  a.norm_weight = static_cast<const float*>(call.in[7].data);
  a.streams_out = call.out[0].data;
  a.out = call.out[1].data;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  MhcTailArgs a;
  a.rms_eps = static_cast<float>(attributes.Number("rms_eps"));
  a.eps = static_cast<float>(attributes.Number("eps"));
  a.norm_eps = static_cast<float>(attributes.Number("norm_eps"));
  return TypedOp<MhcTailArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<MhcTailArgs>> MhcTailKernels() { return kTable; }
const OpDef kMhcTail = {.name = "mhc_tail",
                        .infer = Infer,
                        .prepare = Prepare,
                        .in_place = {.operand = 1, .result = 0}};

}  // namespace birkhoff::ops
