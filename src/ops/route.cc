#include <fmt/format.h>

#include "kernels/args/moe.h"
#include "kernels/cpu/kernels.h"
#include "kernels/ref/kernels.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {
namespace {

constexpr Kernel<RouteArgs> kTable[] = {
    {.name = "cpu/avx512/route",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx512, RouteArgs>,
     .scratch = cpu::RouteScratch,
     .run = cpu::avx512::Route},
    {.name = "cpu/avx2/route",
     .bits = "f32",
     .source = "own",
     .refuses = Needs<CpuIsa::kAvx2, RouteArgs>,
     .scratch = cpu::RouteScratch,
     .run = cpu::avx2::Route},
    {.name = "cpu/generic/route",
     .bits = "f32",
     .source = "own",
     .refuses = Never<RouteArgs>,
     .scratch = cpu::RouteScratch,
     .run = cpu::generic::Route},
    {.name = "ref/route",
     .bits = "f64",
     .source = "definition",
     .refuses = Never<RouteArgs>,
     .run = ref::Route},
};

Status CheckGroups(const Attributes& attributes, std::int64_t experts, bool by_table) {
  const std::int64_t groups = attributes.Int("groups");
  const std::int64_t kept = attributes.Int("topk_groups");
  const std::int64_t k = attributes.Int("k");
  if (groups == 1 && kept == 1) return {};
  if (by_table || groups < 1 || experts % groups != 0 || experts / groups < 2)
    return Status::InvalidArgument(fmt::format(
        "route groups: expected {}, got {} of {} experts",
        by_table ? "1 with a table" : "equal groups of at least 2 experts", groups, experts));
  if (kept < 1 || kept > groups)
    return Status::InvalidArgument(
        fmt::format("route topk_groups: expected 1 to {} groups, got {}", groups, kept));
  if (k > kept * (experts / groups))
    return Status::InvalidArgument(
        fmt::format("route k: expected at most the {} experts of {} groups, got {}",
                    kept * (experts / groups), kept, k));
  return {};
}

Result<std::vector<ValueType>> Infer(const Attributes& attributes, std::span<const ValueType> in) {
  const bool by_table = in.size() == 3;
  if (!by_table) BK_RETURN_IF_ERROR(ExpectCount("route", in, 2));
  const ValueType& logits = in[0];
  BK_RETURN_IF_ERROR(ExpectType("route logits", logits, DType::kF32));
  BK_RETURN_IF_ERROR(ExpectRank("route logits", logits, 2));
  const Extent tokens = logits.shape[0];
  const std::int64_t experts = logits.shape[1].times;
  const std::int64_t k = attributes.Int("k");
  if (k < 1 || k > experts) {
    return Status::InvalidArgument(
        fmt::format("route k: expected 1 to {} experts, got {}", experts, k));
  }
  BK_RETURN_IF_ERROR(CheckGroups(attributes, experts, by_table));
  if (by_table) {
    BK_RETURN_IF_ERROR(ExpectKind("route table", in[1], Kind::kTable));
    BK_RETURN_IF_ERROR(ExpectRank("route table", in[1], 2));
    BK_RETURN_IF_ERROR(ExpectShape("route table", in[1], {in[1].shape[0], Const(k)}));
    BK_RETURN_IF_ERROR(ExpectType("route ids", in[2], DType::kI32));
    BK_RETURN_IF_ERROR(ExpectShape("route ids", in[2], {tokens}));
  } else {
    BK_RETURN_IF_ERROR(ExpectKind("route bias", in[1], Kind::kVector));
    BK_RETURN_IF_ERROR(ExpectShape("route bias", in[1], {Const(experts)}));
  }
  return std::vector<ValueType>{Activation(DType::kI32, {tokens, Const(k)}),
                                Activation(DType::kF32, {tokens, Const(k)})};
}

void Bind(const Call& call, RouteArgs& a) {
  const Operand& logits = call.in[0];
  a.logits = static_cast<const float*>(logits.data);
  a.tokens = logits.dim[0];
  a.experts = logits.dim[1];
  if (call.in.size() == 3) {
    a.table = static_cast<const std::int32_t*>(call.in[1].data);
    a.ids = static_cast<const std::int32_t*>(call.in[2].data);
  } else {
    a.bias = static_cast<const float*>(call.in[1].data);
  }
  a.expert = static_cast<std::int32_t*>(call.out[0].data);
  a.weight = static_cast<float*>(call.out[1].data);
}

Result<std::unique_ptr<Prepared>> Prepare(const Attributes& attributes, const Call& largest,
                                          const PrepareOptions& options) {
  RouteArgs a;
  a.k = attributes.Int("k");
  a.scale = static_cast<float>(attributes.Number("scale"));
  a.scoring = static_cast<Scoring>(attributes.Int("scoring"));
  a.groups = attributes.Int("groups");
  a.topk_groups = attributes.Int("topk_groups");
  a.normalise = attributes.Flag("normalise");
  return TypedOp<RouteArgs, Bind>::Make(kTable, a, largest, options);
}

}  // namespace

std::span<const Kernel<RouteArgs>> RouteKernels() { return kTable; }
const OpDef kRoute = {.name = "route", .infer = Infer, .prepare = Prepare};

}  // namespace birkhoff::ops
