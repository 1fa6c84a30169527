#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/state_checks.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<KvWriteArgs> kTable[] = {
    {.name = "cpu/avx512/kv_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, KvWriteArgs>,
     .run = cpu::avx512::KvWrite},
    {.name = "cpu/avx2/kv_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, KvWriteArgs>,
     .run = cpu::avx2::KvWrite},
    {.name = "cpu/generic/kv_write",
     .bits = "f32x16",
     .source = "own",
     .refuses = Never<KvWriteArgs>,
     .run = cpu::generic::KvWrite},
    {.name = "ref/kv_write",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<KvWriteArgs>,
     .run = ref::KvWrite},
};

constexpr OpDef::Mutation kMutates[] = {{.operand = 1, .result = 0}};

Result<std::vector<ValueType>> Infer(const Attributes&, std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectCount("kv_write", in, 2));
  BK_RETURN_IF_ERROR(ExpectFloat("kv_write kv", in[0]));
  BK_RETURN_IF_ERROR(ExpectRank("kv_write kv", in[0], 2));
  BK_RETURN_IF_ERROR(ExpectRank("kv_write ring", in[1], 3));
  BK_RETURN_IF_ERROR(
      ExpectState("kv_write ring", in[1], in[0].dtype, /*rows=*/1, in[0].shape[1].times));
  return std::vector<ValueType>{in[1]};
}

void Bind(const Call& call, KvWriteArgs& a) {
  a.kv = call.in[0].data;
  a.type = call.in[0].dtype;
  a.width = call.in[0].dim[1];
  a.ring = call.in[1].state();
  a.batch = call.batch;
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes&, const Call& largest,
                                          const PrepareOptions& options) {
  return TypedOp<KvWriteArgs, Bind>::Make(kTable, {}, largest, options);
}

}  // namespace

std::span<const Kernel<KvWriteArgs>> KvWriteKernels() { return kTable; }
const OpDef kKvWrite = {
    .name = "kv_write", .infer = Infer, .prepare = Prepare, .mutates = kMutates};

}  // namespace birkhoff::ops
