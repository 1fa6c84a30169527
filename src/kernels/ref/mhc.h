// The coefficients that several mHC definitions share, in double.
#pragma once

#include <cmath>

#include "base/exec.h"
#include "kernels/args/mhc.h"
#include "kernels/ref/elements.h"

namespace birkhoff::ref {

inline double Sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// Column i of stream j of a token that an op reads.
template <class Args>
double StreamAt(const Args& a, std::int64_t token, std::int64_t j, std::int64_t i) {
  const MhcStreams s = StreamsOf(a);
  return Get(s.data, a.type, token * s.token + j * s.stream + i);
}

// m[row] = fn[row] . x / sqrt(mean(x^2) + eps) with x the hc * H values of one token.
template <class Args>
double MhcMix(const Args& a, std::int64_t token, const float* fn, std::int64_t row, double eps) {
  const std::int64_t k = a.hc * a.hidden;
  double dot = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    const double x = StreamAt(a, token, i / a.hidden, i % a.hidden);
    dot += fn[row * k + i] * x;
    squares += x * x;
  }
  return dot / std::sqrt(squares / static_cast<double>(k) + eps);
}

// The boundary whose h is read with `pre`.
void Boundary(const MhcBoundaryArgs& a, const float* pre, const Exec& exec);

}  // namespace birkhoff::ref
