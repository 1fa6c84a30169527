#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<CompressArgs> kTable[] = {
    {.name = "cpu/avx512/compress",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, CompressArgs>,
     .scratch = cpu::CompressScratch,
     .run = cpu::avx512::Compress},
    {.name = "cpu/avx2/compress",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, CompressArgs>,
     .scratch = cpu::CompressScratch,
     .run = cpu::avx2::Compress},
    {.name = "cpu/generic/compress",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<CompressArgs>,
     .scratch = cpu::CompressScratch,
     .run = cpu::generic::Compress},
    {.name = "ref/compress",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<CompressArgs>,
     .run = ref::Compress},
};

constexpr OpDef::Mutation kMutates[] = {
    {.operand = 5, .result = 0}, {.operand = 6, .result = 1}, {.operand = 7, .result = 2}};

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("compress", in, 8));
  const ValueType& k = in[0];
  const ValueType& ape = in[2];
  const ValueType& norm = in[3];
  const ValueType& frequency = in[4];
  BK_RETURN_IF_ERROR(ExpectType("compress k", k, DType::kF32));
  BK_RETURN_IF_ERROR(ExpectRank("compress k", k, 2));
  BK_RETURN_IF_ERROR(ExpectType("compress g", in[1], DType::kF32));
  BK_RETURN_IF_ERROR(ExpectShape("compress g", in[1], {k.shape[0], k.shape[1]}));
  BK_RETURN_IF_ERROR(ExpectKind("compress norm", norm, Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectRank("compress norm", norm, 1));
  const std::int64_t parts = attributes.Flag("overlap") ? 2 : 1;
  const std::int64_t dim = norm.shape[0].times;
  BK_RETURN_IF_ERROR(ExpectShape("compress k", k, {k.shape[0], Const(parts * dim)}));
  BK_RETURN_IF_ERROR(ExpectKind("compress ape", ape, Kind::kVector));
  BK_RETURN_IF_ERROR(ExpectRank("compress ape", ape, 2));
  BK_RETURN_IF_ERROR(ExpectShape("compress ape", ape, {ape.shape[0], k.shape[1]}));
  BK_RETURN_IF_ERROR(ExpectAtLeast("compress ratio", ape.shape[0].times, 1));
  BK_RETURN_IF_ERROR(ExpectKind("compress frequency", frequency, Kind::kFrequency));
  BK_RETURN_IF_ERROR(ExpectRank("compress frequency", frequency, 1));
  BK_RETURN_IF_ERROR(ExpectAtLeast("compress channels", dim, 2 * frequency.shape[0].times));
  const std::int64_t rows = parts * ape.shape[0].times;
  BK_RETURN_IF_ERROR(ExpectState("compress k_ring", in[5], DType::kF32, rows, parts * dim));
  BK_RETURN_IF_ERROR(
      ExpectShape("compress z_ring", in[6], {in[5].shape[0], in[5].shape[1], in[5].shape[2]}));
  BK_RETURN_IF_ERROR(ExpectState("compress z_ring", in[6], DType::kF32, rows, parts * dim));
  BK_RETURN_IF_ERROR(ExpectFloat("compress entries", in[7]));
  BK_RETURN_IF_ERROR(ExpectState("compress entries", in[7], in[7].dtype, 0, dim));
  return std::vector<ValueType>{in[5], in[6], in[7]};
}

void Bind(const Call& call, CompressArgs& a) {
  a.k = static_cast<const float*>(call.in[0].data);
  a.g = static_cast<const float*>(call.in[1].data);
  a.ape = static_cast<const float*>(call.in[2].data);
  a.norm = static_cast<const float*>(call.in[3].data);
  a.frequency = static_cast<const double*>(call.in[4].data);
  a.k_ring = call.in[5].state();
  a.z_ring = call.in[6].state();
  a.entries = call.in[7].state();
  a.type = call.in[7].dtype;
  a.tokens = call.in[0].dim[0];
  a.ratio = call.in[2].dim[0];
  a.dim = call.in[3].dim[0];
  a.pairs = call.in[4].dim[0];
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  CompressArgs a;
  a.overlap = attributes.Flag("overlap");
  a.precise = attributes.Flag("precise");
  a.eps = static_cast<float>(attributes.Number("eps"));
  return TypedOp<CompressArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<CompressArgs>> CompressKernels() { return kTable; }
const OpDef kCompress = {
    .name = "compress", .infer = Infer, .prepare = Prepare, .mutates = kMutates};

}  // namespace birkhoff::ops
