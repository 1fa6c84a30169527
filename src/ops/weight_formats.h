// What the matrix kernels ask of a weight matrix.
#pragma once

#include <fmt/format.h>

#include "base/refusal.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff::ops {

// Every kernel reads a row in runs of 32 columns, and a run has one scale.
inline Refusal RefusesWeights(const WeightMatrix& w) {
  if (w.format == WeightFormat::kFp8Block && w.block_cols % 32 != 0 && w.block_cols < w.cols)
    return Refusal(fmt::format("needs blocks of a multiple of 32 columns, has {}", w.block_cols));
  if (w.format == WeightFormat::kMxfp4 && w.cols % 32 != 0)
    return Refusal(fmt::format("needs a multiple of 32 MXFP4 columns, has {}", w.cols));
  return {};
}

}  // namespace birkhoff::ops
