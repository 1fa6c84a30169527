// The ops by name: operands in their order, attributes by their names.
#include <array>

#include "graph/builder.h"
#include "kernels/args/moe.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

// The results of an op that has kCount of them; not valid after a mistake.
template <std::size_t kCount>
std::array<Value, kCount> Take(const std::vector<Value>& results) {
  std::array<Value, kCount> taken = {};
  for (std::size_t i = 0; i < kCount && i < results.size(); ++i) taken[i] = results[i];
  return taken;
}

Value One(const std::vector<Value>& results) { return Take<1>(results)[0]; }

std::int64_t AsInt(DType t) { return static_cast<std::int64_t>(t); }
std::int64_t AsInt(RopePairing p) { return static_cast<std::int64_t>(p); }

ops::Attributes WithFp8(std::vector<ops::Attributes::Entry> entries, const Fp8Kind& kind) {
  entries.push_back({"group", kind.group});
  entries.push_back({"scale", static_cast<std::int64_t>(kind.scale)});
  entries.push_back({"floor", kind.floor});
  return ops::Attributes(std::move(entries));
}

}  // namespace

Value Builder::Add(Value a, Value b, DType out, Here here) {
  return One(Op(ops::kAdd, {a, b}, {{"out", AsInt(out)}}, here));
}

Value Builder::Attention(const AttentionOperands& in, const AttentionConstants& c, DType out,
                         Here here) {
  std::vector<Value> operands = {in.q, in.kv, in.window, in.sink};
  if (c.ratio > 0) operands.push_back(in.entries);
  if (in.selected.valid()) operands.push_back(in.selected);
  return One(Op(ops::kAttention, std::move(operands),
                {{"window", c.window},
                 {"ratio", c.ratio},
                 {"max_entries", c.max_entries},
                 {"scale", c.scale},
                 {"out", AsInt(out)}},
                here));
}

Value Builder::Broadcast(Value x, std::int64_t copies, Here here) {
  return One(Op(ops::kBroadcast, {x}, {{"copies", copies}}, here));
}

CompressorState Builder::Compress(const CompressOperands& in, bool overlap, bool precise,
                                  double eps, Here here) {
  const auto [k_ring, z_ring, entries] =
      Take<3>(Op(ops::kCompress,
                 {in.k, in.g, in.ape, in.norm, in.frequency, in.state.k_ring, in.state.z_ring,
                  in.state.entries},
                 {{"overlap", overlap}, {"precise", precise}, {"eps", eps}}, here));
  return {k_ring, z_ring, entries};
}

Value Builder::Concat(Value a, Value b, Here here) {
  return One(Op(ops::kConcat, {a, b}, {}, here));
}

std::pair<Value, Value> Builder::DualRmsNorm(Value x0, Value x1, Value weight0, Value weight1,
                                             double eps0, double eps1, DType out0, DType out1,
                                             Here here) {
  const auto [n0, n1] = Take<2>(
      Op(ops::kDualRmsNorm, {x0, x1, weight0, weight1},
         {{"eps0", eps0}, {"eps1", eps1}, {"out0", AsInt(out0)}, {"out1", AsInt(out1)}}, here));
  return {n0, n1};
}

Value Builder::Embedding(Value ids, Value table, DType out, Here here) {
  return One(Op(ops::kEmbedding, {ids, table}, {{"out", AsInt(out)}}, here));
}

Value Builder::Experts(Value x, const Routed& routed, Value w1, Value w3, Value w2, double limit,
                       Here here) {
  return One(
      Op(ops::kExperts, {x, routed.expert, routed.weight, w1, w3, w2}, {{"limit", limit}}, here));
}

Value Builder::GatherRows(Value x, Value index, Here here) {
  return One(Op(ops::kGatherRows, {x, index}, {}, here));
}

namespace {

ops::Attributes GqaAttributes(const GqaConstants& c, DType out) {
  return {{"key_heads", c.key_heads},
          {"value_dim", c.value_dim},
          {"scale", c.scale},
          {"out", AsInt(out)}};
}

}  // namespace

Value Builder::GqaAttention(Value q, Value keys, Value values, const GqaConstants& c, DType out,
                            Here here) {
  return One(Op(ops::kGqaAttention, {q, keys, values}, GqaAttributes(c, out), here));
}

Value Builder::HeadLinear(Value x, Value w, bool transposed, DType out, Here here) {
  return One(Op(ops::kHeadLinear, {x, w}, {{"transposed", transposed}, {"out", AsInt(out)}}, here));
}

Value Builder::IndexTopk(Value q, Value weight, Value keys, const IndexConstants& c, Here here) {
  return One(
      Op(ops::kIndexTopk, {q, weight, keys},
         {{"ratio", c.ratio}, {"topk", c.topk}, {"max_entries", c.max_entries}, {"scale", c.scale}},
         here));
}

Value Builder::KvWrite(Value kv, Value ring, Here here) {
  return One(Op(ops::kKvWrite, {kv, ring}, {}, here));
}

Value Builder::LatentAttention(Value q, Value latent, std::int64_t value_dim, double scale,
                               DType out, Here here) {
  const GqaConstants c = {.key_heads = 1, .value_dim = value_dim, .scale = scale};
  return One(Op(ops::kGqaAttention, {q, latent}, GqaAttributes(c, out), here));
}

Value Builder::Linear(Value x, Value w, DType out, std::int64_t groups, Here here) {
  return One(Op(ops::kLinear, {x, w}, {{"groups", groups}, {"out", AsInt(out)}}, here));
}

Value Builder::Linear(Value x, const std::vector<Value>& ws, DType out, Here here) {
  std::vector<Value> operands = {x};
  operands.insert(operands.end(), ws.begin(), ws.end());
  return One(Op(ops::kLinear, std::move(operands),
                {{"groups", std::int64_t{1}}, {"out", AsInt(out)}}, here));
}

Value Builder::LinearFp8(Value xq, Value xs, Value w, DType out, std::int64_t x_group, Here here) {
  return One(Op(ops::kLinear, {xq, xs, w},
                {{"groups", std::int64_t{1}}, {"out", AsInt(out)}, {"x_group", x_group}}, here));
}

namespace {

std::vector<ops::Attributes::Entry> BoundaryAttributes(const MhcConstants& c, double norm_eps) {
  return {{"iterations", c.iterations},     {"rms_eps", c.rms_eps},     {"pre_eps", c.pre_eps},
          {"sinkhorn_eps", c.sinkhorn_eps}, {"post_mult", c.post_mult}, {"norm_eps", norm_eps}};
}

}  // namespace

MhcBoundaryResult Builder::MhcBoundary(Value x, Value streams, Value post, Value comb,
                                       const MhcParameters& next, const MhcConstants& c, Value norm,
                                       double norm_eps, Here here) {
  std::vector<Value> operands = {x, streams, post, comb, next.fn, next.base, next.scale};
  if (norm.valid()) operands.push_back(norm);
  std::vector<ops::Attributes::Entry> attributes = BoundaryAttributes(c, norm_eps);
  attributes.push_back({"fp8_group", std::int64_t{0}});
  attributes.push_back({"fp8_scale", std::int64_t{0}});
  const auto [streams_out, pre_out, post_out, comb_out, h] = Take<5>(
      Op(ops::kMhcBoundary, std::move(operands), ops::Attributes(std::move(attributes)), here));
  return {streams_out, {pre_out, post_out, comb_out}, h};
}

MhcBoundaryResult Builder::MhcBoundaryShifted(Value x, Value streams, Value post, Value comb,
                                              const MhcParameters& next, const MhcConstants& c,
                                              Value norm, double norm_eps, Value pre, Here here) {
  const auto [streams_out, pre_out, post_out, comb_out, h] = Take<5>(Op(
      ops::kMhcBoundaryShifted, {x, streams, post, comb, next.fn, next.base, next.scale, norm, pre},
      ops::Attributes(BoundaryAttributes(c, norm_eps)), here));
  return {streams_out, {pre_out, post_out, comb_out}, h};
}

MhcCoefficients Builder::MhcCoeffs(Value streams, const MhcParameters& site, const MhcConstants& c,
                                   Here here) {
  const auto [pre, post, comb] =
      Take<3>(Op(ops::kMhcCoeffs, {streams, site.fn, site.base, site.scale},
                 {{"iterations", c.iterations},
                  {"rms_eps", c.rms_eps},
                  {"pre_eps", c.pre_eps},
                  {"sinkhorn_eps", c.sinkhorn_eps},
                  {"post_mult", c.post_mult}},
                 here));
  return {pre, post, comb};
}

Value Builder::MhcCollapse(Value streams, Value pre, Here here) {
  return One(Op(ops::kMhcCollapse, {streams, pre}, {}, here));
}

Value Builder::MhcHead(Value streams, const MhcParameters& head, double rms_eps, double eps,
                       Here here) {
  return One(Op(ops::kMhcHead, {streams, head.fn, head.base, head.scale},
                {{"rms_eps", rms_eps}, {"eps", eps}}, here));
}

Value Builder::MhcPost(Value x, Value streams, Value post, Value comb, Here here) {
  return One(Op(ops::kMhcPost, {x, streams, post, comb}, {}, here));
}

std::pair<Value, Value> Builder::MhcTail(Value x, Value streams, Value post, Value comb,
                                         const MhcParameters& head, double rms_eps, double eps,
                                         Value norm, double norm_eps, Here here) {
  const auto [streams_out, out] =
      Take<2>(Op(ops::kMhcTail, {x, streams, post, comb, head.fn, head.base, head.scale, norm},
                 {{"rms_eps", rms_eps}, {"eps", eps}, {"norm_eps", norm_eps}}, here));
  return {streams_out, out};
}

Value Builder::NormRope(Value x, Value table, Value weight, double eps, DType out,
                        RopePairing pairing, Here here) {
  return One(Op(ops::kNormRope, {x, table, weight},
                {{"eps", eps}, {"out", AsInt(out)}, {"pairing", AsInt(pairing)}}, here));
}

Value Builder::NormRope(Value x, Value table, double eps, DType out, RopePairing pairing,
                        Here here) {
  return One(Op(ops::kNormRope, {x, table},
                {{"eps", eps}, {"out", AsInt(out)}, {"pairing", AsInt(pairing)}}, here));
}

NormRopeWriteResult Builder::NormRopeWrite(const NormRopeWriteOperands& in, double q_eps,
                                           double k_eps, DType out, RopePairing pairing,
                                           Here here) {
  const auto [q, keys, values] = Take<3>(
      Op(ops::kNormRopeWrite,
         {in.q, in.k, in.v, in.table, in.q_weight, in.k_weight, in.keys, in.values},
         {{"q_eps", q_eps}, {"k_eps", k_eps}, {"out", AsInt(out)}, {"pairing", AsInt(pairing)}},
         here));
  return {q, keys, values};
}

Quantised Builder::Quantise(Value x, const Fp8Kind& kind, Here here) {
  const auto [q, scale] = Take<2>(Op(ops::kQuantise, {x}, WithFp8({}, kind), here));
  return {q, scale};
}

Value Builder::Reshape(Value x, std::span<const ops::Extent> shape, Here here) {
  return One(Op(ops::kReshape, {x}, ops::ReshapeAttributes(shape), here));
}

Value Builder::Reshape(Value x, const std::vector<ops::Extent>& shape, Here here) {
  return One(Op(ops::kReshape, {x}, ops::ReshapeAttributes(shape), here));
}

Value Builder::RmsNorm(Value x, Value weight, double eps, DType out, Here here) {
  return One(Op(ops::kRmsNorm, {x, weight}, {{"eps", eps}, {"out", AsInt(out)}}, here));
}

Value Builder::RmsNorm(Value x, double eps, DType out, Here here) {
  return One(Op(ops::kRmsNorm, {x}, {{"eps", eps}, {"out", AsInt(out)}}, here));
}

NormQuantised Builder::RmsNormQuantise(Value x, Value weight, double eps, DType out,
                                       const Fp8Kind& kind, Here here) {
  const auto [normed, q, scale] =
      Take<3>(Op(ops::kRmsNormQuantise, {x, weight},
                 WithFp8({{"eps", eps}, {"out", AsInt(out)}}, kind), here));
  return {normed, {q, scale}};
}

Value Builder::Rope(Value x, Value table, DType out, bool inverse, RopePairing pairing, Here here) {
  return One(Op(ops::kRope, {x, table},
                {{"out", AsInt(out)}, {"inverse", inverse}, {"pairing", AsInt(pairing)}}, here));
}

Value Builder::RopeTable(Value positions, Value frequency, bool precise, Here here) {
  return One(Op(ops::kRopeTable, {positions, frequency}, {{"precise", precise}}, here));
}

Value Builder::RopeWrite(Value c, Value k_pe, Value table, Value latent, RopePairing pairing,
                         Here here) {
  return One(Op(ops::kRopeWrite, {c, k_pe, table, latent}, {{"pairing", AsInt(pairing)}}, here));
}

namespace {

ops::Attributes RouteAttributes(Scoring scoring, const SigmoidRouting& r) {
  return {{"k", r.k},
          {"scoring", static_cast<std::int64_t>(scoring)},
          {"groups", r.groups},
          {"topk_groups", r.topk_groups},
          {"normalise", r.normalise},
          {"scale", r.scale}};
}

}  // namespace

Routed Builder::RouteTopk(Value logits, Value bias, std::int64_t k, double scale, Here here) {
  const auto [expert, weight] =
      Take<2>(Op(ops::kRoute, {logits, bias},
                 RouteAttributes(Scoring::kSqrtSoftplus, {.k = k, .scale = scale}), here));
  return {expert, weight};
}

Routed Builder::RouteByTable(Value logits, Value table, Value ids, std::int64_t k, double scale,
                             Here here) {
  const auto [expert, weight] =
      Take<2>(Op(ops::kRoute, {logits, table, ids},
                 RouteAttributes(Scoring::kSqrtSoftplus, {.k = k, .scale = scale}), here));
  return {expert, weight};
}

Routed Builder::RouteSigmoid(Value logits, Value bias, const SigmoidRouting& routing, Here here) {
  const auto [expert, weight] =
      Take<2>(Op(ops::kRoute, {logits, bias}, RouteAttributes(Scoring::kSigmoid, routing), here));
  return {expert, weight};
}

std::vector<Value> Builder::Split(Value x, std::initializer_list<std::int64_t> widths, Here here) {
  std::vector<Value> columns;
  std::int64_t begin = 0;
  for (const std::int64_t width : widths) {
    columns.push_back(One(Op(ops::kSlice, {x}, {{"begin", begin}, {"width", width}}, here)));
    begin += width;
  }
  return columns;
}

Value Builder::Spread(Value x, std::int64_t copies, Here here) {
  return One(Op(ops::kSpread, {x}, {{"copies", copies}}, here));
}

Value Builder::Swiglu(Value gate, Value up, double limit, Here here) {
  return One(Op(ops::kSwiglu, {gate, up}, {{"limit", limit}}, here));
}

Quantised Builder::SwigluQuantise(Value gate, Value up, double limit, const Fp8Kind& kind,
                                  Here here) {
  const auto [q, scale] =
      Take<2>(Op(ops::kSwigluQuantise, {gate, up}, WithFp8({{"limit", limit}}, kind), here));
  return {q, scale};
}

}  // namespace birkhoff::graph
