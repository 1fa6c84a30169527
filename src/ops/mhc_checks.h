// Checks of infer() that the mHC ops share.
#pragma once

#include <string>

#include "kernels/args/mhc.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {

// Refusals of the rows that read packed streams alone.
template <class Args>
Refusal RefusesStrides(const Args& args) {
  if (args.layout == MhcLayout{}) return {};
  return Refusal("needs packed x and streams");
}

template <class Args>
Refusal RefusesPortable(const Args& args, const Device& device) {
  if (Refusal refusal = RefusesStrides(args)) return refusal;
  return NeedsBuiltGpu(device);
}

// Refusals of the rows that round fn to two bf16: bf16 streams on a GPU with machine code.
template <class Args>
Refusal RefusesTensorCores(const Args& args, const Device& device) {
  if (args.type != DType::kBF16) return Refusal("needs bf16 streams");
  if (Refusal refusal = RefusesStrides(args)) return refusal;
  return NeedsBuiltGpu(device);
}

// Refusals of the rows that read and write 16 bytes at a time.
template <class Args>
Refusal RefusesWideWords(const Args& args, const Device& device) {
  if (args.type != DType::kBF16) return Refusal("needs bf16 streams");
  if (Refusal refusal = RefusesStrides(args)) return refusal;
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

// The parameters of a site: vectors fn, base, scale, and the attributes' constants.
void BindSite(std::span<const Operand> fn_base_scale, MhcSite& site);
MhcSite SiteConstants(const Attributes& attributes);

// What the attributes must hold: at least one column step.
Status CheckSite(std::string_view op, const Attributes& attributes);

// What the boundaries share: x, streams, post, comb, fn, base, scale, norm in; streams, pre, post,
// comb, h out.
Result<std::vector<ValueType>> InferBoundary(std::string_view op, const Attributes& attributes,
                                             std::span<const ValueType> in);
void BindBoundary(const Call& call, MhcBoundaryArgs& a);
MhcBoundaryArgs BoundaryConstants(const Attributes& attributes);

}  // namespace birkhoff::ops
