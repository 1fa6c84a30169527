// Error bounds of the mHC coefficients in class "f32", from the inputs of a site.
#pragma once

#include <cmath>
#include <vector>

#include "harness/problems.h"
#include "kernels/args/mhc.h"

namespace birkhoff::harness {

inline double Value(const void* p, DType type, std::int64_t i) {
  return type == kF32 ? static_cast<double>(static_cast<const float*>(p)[i])
                      : static_cast<double>(static_cast<float>(static_cast<const bf16*>(p)[i]));
}

// fn [rows, hc * H], base [rows] and streams [T, hc, H], read when a bound is asked for.
class MhcBounds {
 public:
  MhcBounds(const void* streams, DType type, std::int64_t hc, std::int64_t hidden, const float* fn,
            const float* base, double rms_eps)
      : streams_(streams),
        type_(type),
        hc_(hc),
        hidden_(hidden),
        fn_(fn),
        base_(base),
        rms_eps_(rms_eps) {}

  // Largest error of the logit m[row] * scale + base[row] of a token.
  double Logit(std::int64_t token, std::int64_t row, double scale) const {
    const std::int64_t k = hc_ * hidden_;
    double dot = 0;
    double terms = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      const double x = Value(streams_, type_, token * k + i);
      dot += fn_[row * k + i] * x;
      terms += std::abs(fn_[row * k + i] * x);
      squares += x * x;
    }
    const double rs = 1 / std::sqrt(squares / static_cast<double>(k) + rms_eps_);
    const double chunks = std::ceil(static_cast<double>(hidden_) / 32);
    // A lane's chain, its three levels and the four of the slices; then the scale by rs.
    const double chain = 4 * static_cast<double>(hc_) * std::ceil(chunks / 16) + 8;
    const double of_m = rs * terms * chain * kF32Eps + 0x1p-18 * std::abs(dot * rs);
    return of_m * std::abs(scale) +
           3 * kF32Eps * (std::abs(dot * rs * scale) + std::abs(base_[row]));
  }

  // Of sigmoid(logit), whose slope is at most 1/4, plus a few roundings.
  double Sigmoid(std::int64_t token, std::int64_t row, double scale) const {
    return Logit(token, row, scale) / 4 + 0x1p-21;
  }

  // Relative, of every element of comb: no half-step of Sinkhorn expands differences of logarithms,
  // and each of the 39 adds at most two roundings to both scaling vectors.
  double Comb(std::int64_t token, double scale) const {
    double worst = 0;
    for (std::int64_t i = 0; i < hc_ * hc_; ++i) {
      worst = std::max(worst, Logit(token, 2 * hc_ + i, scale));
    }
    return 78 * worst + 160 * kF32Eps;
  }

 private:
  const void* streams_ = nullptr;
  DType type_ = kBF16;
  std::int64_t hc_ = 0;
  std::int64_t hidden_ = 0;
  const float* fn_ = nullptr;
  const float* base_ = nullptr;
  double rms_eps_ = 0;
};

}  // namespace birkhoff::harness
