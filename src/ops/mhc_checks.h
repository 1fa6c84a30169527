// Checks of infer() that the mHC ops share.
#pragma once

#include <fmt/format.h>

#include <string>

#include "kernels/args/mhc.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {

// Of the rows that read packed streams alone.
template <class Args>
Refusal RefusesStrides(const Args& args) {
  if (args.layout == MhcLayout{}) return {};
  const MhcLayout& l = args.layout;
  return Refusal(fmt::format("needs packed x and streams, got steps of {}, {} and {}", l.x, l.token,
                             l.stream));
}

inline Refusal NeedsBf16(DType type) {
  if (type == DType::kBF16) return {};
  return Refusal(fmt::format("needs bf16 streams, got {}", Name(type)));
}

// Of the rows that read 16 bytes at a time.
template <class Args>
Refusal RefusesOddStrides(const Args& args) {
  const MhcLayout& l = args.layout;
  if (l.x % 8 == 0 && l.token % 8 == 0 && l.stream % 8 == 0) return {};
  return Refusal(fmt::format("needs strides that are multiples of 8 elements, got {}, {} and {}",
                             l.x, l.token, l.stream));
}

// Refusals of the rows that round fn to two bf16: bf16 streams on a GPU with machine code.
template <class Args>
Refusal RefusesTensorCores(const Args& args, const Device& device) {
  if (Refusal refusal = NeedsBf16(args.type)) return refusal;
  if (Refusal refusal = RefusesOddStrides(args)) return refusal;
  return NeedsBuiltGpu(device);
}
inline Refusal RefusesTensorCores(const MhcBoundaryShiftedArgs& args, const Device& device) {
  return RefusesTensorCores(args.boundary, device);
}

// Refusals of the rows that write 16 bytes at a time too.
template <class Args>
Refusal RefusesWideWords(const Args& args, const Device& device) {
  if (Refusal refusal = NeedsBf16(args.type)) return refusal;
  if (Refusal refusal = RefusesOddStrides(args)) return refusal;
  if (args.hidden % 8 != 0)
    return Refusal("needs H to be a multiple of 8, got " + std::to_string(args.hidden));
  return NeedsBuiltGpu(device);
}

// Streams [T, hc, H] in f32 or bf16 with hc in {2, 4, 8}. The names of messages begin with `op`.
Status ExpectStreams(std::string_view op, const ValueType& streams);

// Vectors fn [rows, hc * H], base [rows], scale [scales].
Status ExpectMhcParameters(std::string_view op, const ValueType& streams,
                           std::span<const ValueType> fn_base_scale, std::int64_t rows,
                           std::int64_t scales);

// A f32 activation of this shape.
Status ExpectCoefficients(std::string_view what, const ValueType& v,
                          std::initializer_list<Extent> shape);

// The streams of the arguments lie as those of the operand do.
template <class Args>
void BindStreams(const Operand& streams, Args& a) {
  a.streams = streams.data;
  a.type = streams.dtype;
  a.tokens = streams.dim[0];
  a.hc = streams.dim[1];
  a.hidden = streams.dim[2];
  if (streams.layout == Layout::kSpread) a.layout.token = streams.row;  // and no step of streams
}

// What a mix reads: x, streams, post, comb. BindMix: into arguments with those members and extents.
Status ExpectMix(std::string_view op, std::span<const ValueType> in);
template <class Args>
void BindMix(const Call& call, Args& a) {
  BindStreams(call.in[1], a);
  a.x = call.in[0].data;
  a.post = static_cast<const float*>(call.in[2].data);
  a.comb = static_cast<const float*>(call.in[3].data);
}

// A norm vector as wide as the streams.
Status ExpectMhcNorm(std::string_view op, const ValueType& streams, const ValueType& norm);

// The parameters of a site: vectors fn, base, scale, and the attributes' constants.
void BindSite(std::span<const Operand> fn_base_scale, MhcSite& site);
MhcSite SiteConstants(const Attributes& attributes);

// What the attributes must hold: at least one column step.
Status CheckSite(std::string_view op, const Attributes& attributes);

// Ops that read streams which may be spread: as operand 0, or behind x.
inline constexpr OpDef::Takes kSpreadFirst[] = {{0, Layout::kSpread}};
inline constexpr OpDef::Takes kSpreadSecond[] = {{1, Layout::kSpread}};

// What the boundaries share: x, streams, post, comb, fn, base, scale and, or not, norm in; streams,
// pre, post, comb, h out.
Result<std::vector<ValueType>> InferBoundary(std::string_view op, const Attributes& attributes,
                                             std::span<const ValueType> in);
void BindBoundary(const Call& call, MhcBoundaryArgs& a);
MhcBoundaryArgs BoundaryConstants(const Attributes& attributes);

}  // namespace birkhoff::ops
