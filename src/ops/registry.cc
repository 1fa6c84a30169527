#include <algorithm>
#include <array>

#include "ops/defs.h"

namespace birkhoff::ops {
namespace {

// Ordered by name.
constexpr std::array kOps = {
    &kAdd,        &kAttention,    &kBroadcast,       &kCompress,
    &kConcat,     &kDualRmsNorm,  &kEmbedding,       &kExperts,
    &kGatherRows, &kGqaAttention, &kHeadLinear,      &kIndexTopk,
    &kKvWrite,    &kLinear,       &kMhcBoundary,     &kMhcBoundaryShifted,
    &kMhcCoeffs,  &kMhcCollapse,  &kMhcHead,         &kMhcPost,
    &kMhcTail,    &kNormRope,     &kNormRopeWrite,   &kQuantise,
    &kReshape,    &kRmsNorm,      &kRmsNormQuantise, &kRope,
    &kRopeTable,  &kRopeWrite,    &kRoute,           &kSlice,
    &kSpread,     &kSwiglu,       &kSwigluQuantise,
};

}  // namespace

std::span<const OpDef* const> AllOps() { return kOps; }

const OpDef* FindOp(std::string_view name) {
  const auto it =
      std::find_if(kOps.begin(), kOps.end(), [&](const OpDef* op) { return op->name == name; });
  return it == kOps.end() ? nullptr : *it;
}

}  // namespace birkhoff::ops
