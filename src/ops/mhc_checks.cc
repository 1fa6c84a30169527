#include "ops/mhc_checks.h"

#include <fmt/format.h>

namespace birkhoff::ops {

Status ExpectStreams(std::string_view op, const ValueType& streams) {
  const std::string what = fmt::format("{} streams", op);
  BK_RETURN_IF_ERROR(ExpectFloat(what, streams));
  BK_RETURN_IF_ERROR(ExpectRank(what, streams, 3));
  const Extent hc = streams.shape[1];
  if (hc == Const(2) || hc == Const(4) || hc == Const(8)) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected 2, 4 or 8 streams, got {}", what, streams.ToString()));
}

Status ExpectMhcParameters(std::string_view op, const ValueType& streams,
                           std::span<const ValueType> fn_base_scale, std::int64_t rows,
                           std::int64_t scales) {
  const std::int64_t k = streams.shape[1].times * streams.shape[2].times;
  const auto expect = [&](std::string_view name, const ValueType& v,
                          std::initializer_list<Extent> shape) -> Status {
    const std::string what = fmt::format("{} {}", op, name);
    BK_RETURN_IF_ERROR(ExpectKind(what, v, Kind::kVector));
    return ExpectShape(what, v, shape);
  };
  BK_RETURN_IF_ERROR(expect("fn", fn_base_scale[0], {Const(rows), Const(k)}));
  BK_RETURN_IF_ERROR(expect("base", fn_base_scale[1], {Const(rows)}));
  return expect("scale", fn_base_scale[2], {Const(scales)});
}

Status ExpectCoefficients(std::string_view what, const ValueType& v,
                          std::initializer_list<Extent> shape) {
  BK_RETURN_IF_ERROR(ExpectType(what, v, DType::kF32));
  return ExpectShape(what, v, shape);
}

Status ExpectMix(std::string_view op, std::span<const ValueType> in) {
  const auto named = [&](std::string_view what) { return fmt::format("{} {}", op, what); };
  const ValueType& streams = in[1];
  BK_RETURN_IF_ERROR(ExpectStreams(op, streams));
  const Extent t = streams.shape[0];
  const Extent hc = streams.shape[1];
  BK_RETURN_IF_ERROR(ExpectType(named("x"), in[0], streams.dtype));
  BK_RETURN_IF_ERROR(ExpectShape(named("x"), in[0], {t, streams.shape[2]}));
  BK_RETURN_IF_ERROR(ExpectCoefficients(named("post"), in[2], {t, hc}));
  return ExpectCoefficients(named("comb"), in[3], {t, hc, hc});
}

Status ExpectMhcNorm(std::string_view op, const ValueType& streams, const ValueType& norm) {
  const std::string what = fmt::format("{} norm", op);
  BK_RETURN_IF_ERROR(ExpectKind(what, norm, Kind::kVector));
  return ExpectShape(what, norm, {streams.shape[2]});
}

void BindSite(std::span<const Operand> fn_base_scale, MhcSite& site) {
  site.fn = static_cast<const float*>(fn_base_scale[0].data);
  site.base = static_cast<const float*>(fn_base_scale[1].data);
  site.scale = static_cast<const float*>(fn_base_scale[2].data);
}

MhcSite SiteConstants(const Attributes& attributes) {
  MhcSite site;
  site.rms_eps = static_cast<float>(attributes.Number("rms_eps"));
  site.pre_eps = static_cast<float>(attributes.Number("pre_eps"));
  site.sinkhorn_eps = static_cast<float>(attributes.Number("sinkhorn_eps"));
  site.post_mult = static_cast<float>(attributes.Number("post_mult"));
  site.iterations = static_cast<int>(attributes.Int("iterations"));
  return site;
}

Status CheckSite(std::string_view op, const Attributes& attributes) {
  const std::int64_t iterations = attributes.Int("iterations");
  if (iterations >= 1) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected at least 1 iteration, got {}", op, iterations));
}

Result<std::vector<ValueType>> InferBoundary(std::string_view op, const Attributes& attributes,
                                             std::span<const ValueType> in) {
  BK_RETURN_IF_ERROR(ExpectMix(op, in));
  const ValueType& streams = in[1];
  const Extent t = streams.shape[0];
  const Extent hc = streams.shape[1];
  const Extent hidden = streams.shape[2];
  BK_RETURN_IF_ERROR(ExpectMhcParameters(op, streams, in.subspan(4), hc.times * (hc.times + 2), 3));
  BK_RETURN_IF_ERROR(CheckSite(op, attributes));
  if (in.size() > 7) BK_RETURN_IF_ERROR(ExpectMhcNorm(op, streams, in[7]));
  return std::vector<ValueType>{Activation(streams.dtype, streams.shape),
                                Activation(DType::kF32, {t, hc}), Activation(DType::kF32, {t, hc}),
                                Activation(DType::kF32, {t, hc, hc}),
                                Activation(streams.dtype, {t, hidden})};
}

void BindBoundary(const Call& call, MhcBoundaryArgs& a) {
  BindMix(call, a);
  BindSite(call.in.subspan(4), a.site);
  a.norm_weight = call.in.size() > 7 ? static_cast<const float*>(call.in[7].data) : nullptr;
  a.streams_out = call.out[0].data;
  a.pre_out = static_cast<float*>(call.out[1].data);
  a.post_out = static_cast<float*>(call.out[2].data);
  a.comb_out = static_cast<float*>(call.out[3].data);
  a.h = call.out[4].data;
}

MhcBoundaryArgs BoundaryConstants(const Attributes& attributes) {
  MhcBoundaryArgs a;
  a.site = SiteConstants(attributes);
  a.norm_eps = static_cast<float>(attributes.Number("norm_eps"));
  return a;
}

}  // namespace birkhoff::ops
