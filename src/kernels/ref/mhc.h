// The coefficients that several mHC definitions share, in double.
#pragma once

#include <algorithm>
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

// Row `row` of `to` from the columns of a row of bf16: to the nearest of all codes, the even one
// where two are. The f32 quotient of two f32 is that of doubles, rounded.
inline void PutFp8(const void* rows, const Fp8Rows& to, std::int64_t row, std::int64_t hidden) {
  const Fp8Format format = to.format;
  const std::int64_t groups = (hidden + format.group - 1) / format.group;
  const bool packed = to.scale_row == 0 && to.scale_group == 0;
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t begin = row * hidden + g * format.group;
    const std::int64_t end = std::min(begin + format.group, (row + 1) * hidden);
    double largest = static_cast<double>(1e-4f);
    for (std::int64_t i = begin; i < end; ++i)
      largest = std::fmax(largest, std::abs(Get(rows, DType::kBF16, i)));
    double scale = static_cast<float>(largest / 448);
    if (format.scale != Fp8Scale::kF32) scale = std::exp2(std::ceil(std::log2(scale)));
    const std::int64_t at = packed ? row * groups + g : row * to.scale_row + g * to.scale_group;
    if (format.scale == Fp8Scale::kE8M0) {
      static_cast<std::uint8_t*>(to.scale)[at] =
          std::isinf(scale) ? 255 : static_cast<std::uint8_t>(std::ilogb(scale) + 127);
    } else {
      static_cast<float*>(to.scale)[at] = static_cast<float>(scale);
    }
    for (std::int64_t i = begin; i < end; ++i) {
      const double x = static_cast<float>(Get(rows, DType::kBF16, i) / scale);
      unsigned best = std::isnan(x) ? 0x7f : 0;
      for (unsigned code = 1; code < 0x7f && !std::isnan(x); ++code) {
        const double error = std::abs(E4M3(static_cast<std::uint8_t>(code)) - std::abs(x));
        const double least = std::abs(E4M3(static_cast<std::uint8_t>(best)) - std::abs(x));
        if (error < least || (error == least && code % 2 == 0)) best = code;
      }
      const unsigned sign = std::signbit(x) && !std::isnan(x) ? 0x80 : 0;
      static_cast<std::uint8_t*>(to.data)[i] = static_cast<std::uint8_t>(best | sign);
    }
  }
}

}  // namespace birkhoff::ref
