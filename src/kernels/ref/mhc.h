// The coefficients that several mHC definitions share, in double.
#pragma once

#include "kernels/args/mhc.h"
#include "kernels/ref/elements.h"

namespace birkhoff::ref {

inline double Sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// m[row] = fn[row] . x / sqrt(mean(x^2) + eps) with x the hc * H values of one token.
inline double MhcMix(const void* streams, DType type, std::int64_t token, std::int64_t k,
                     const float* fn, std::int64_t row, double eps) {
  double dot = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    const double x = Get(streams, type, token * k + i);
    dot += fn[row * k + i] * x;
    squares += x * x;
  }
  return dot / std::sqrt(squares / static_cast<double>(k) + eps);
}

}  // namespace birkhoff::ref
