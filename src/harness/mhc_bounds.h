// Error bounds of the mHC coefficients from the inputs of a site, for a class of bits. First order
// in u = 2^-24.
#pragma once

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "harness/problems.h"
#include "kernels/args/mhc.h"

namespace birkhoff::harness {

inline double Value(const void* p, DType type, std::int64_t i) {
  return type == kF32 ? static_cast<double>(static_cast<const float*>(p)[i])
                      : static_cast<double>(static_cast<float>(static_cast<const bf16*>(p)[i]));
}

// What the classes differ in.
struct MhcArithmetic {
  bool split = false;     // fn is two bf16, summed by tensor cores; else f32 in lanes
  double exp_ulps = 2;    // in u
  double recip_ulps = 1;  // of a quotient, in u

  static MhcArithmetic Of(std::string_view bits) {
    if (bits == "mhc bf16x2") return {true, 6, 2};
    return {};
  }
};

// fn [rows, hc * H], base [rows] and streams [T, hc, H], read when a bound is asked for.
class MhcBounds {
 public:
  MhcBounds(const void* streams, DType type, std::int64_t hc, std::int64_t hidden, const float* fn,
            const float* base, double rms_eps, MhcArithmetic arithmetic)
      : streams_(streams),
        type_(type),
        hc_(hc),
        hidden_(hidden),
        fn_(fn),
        base_(base),
        rms_eps_(rms_eps),
        arithmetic_(arithmetic) {}

  // Of sigmoid(logit), whose slope is at most 1/4. The error of exp counts for a quarter too; the
  // sum, the quotient, what is added or multiplied after it, and the definition's own rounding take
  // one u or little more: less than 8 u of a value of at most 1.
  double Sigmoid(std::int64_t token, std::int64_t row, double scale) const {
    return LogitAt(token, row, scale).error / 4 + 8 * kF32Eps;
  }

  // The sigmoid itself, in double.
  double SigmoidAt(std::int64_t token, std::int64_t row, double scale) const {
    return 1 / (1 + std::exp(-LogitAt(token, row, scale).value));
  }

  // Relative, of every element of comb.
  //
  // All that follows the logits adds and divides positive numbers, so relative errors bound it. A
  // softmax expands the largest error L of its logits to 2 L. With D the distance of the logits,
  // subtracting the largest costs D u twice (numerator and sum), exp its error twice, the sum
  // hc - 1, then the quotient, and adding eps one u:
  //   of_m = 2 L + (2 D + 2 exp + (hc - 1) + quotient + 1) u.
  // A half-step is v = 1 / (eps e + sum_i M_i u_i). A weighted mean of relative errors is at most
  // the largest, so the error of v is that of u plus of_m plus r = (hc + 1 + quotient) u: a product
  // and hc fused multiply-adds come before the quotient. After k = 2 iterations - 1 half-steps the
  // last vector errs by k (of_m + r), the one before by (k - 1) (of_m + r), and (u_i M_ij) v_j adds
  // of_m, two products and the definition's own rounding.
  double Comb(std::int64_t token, double scale, int iterations) const {
    double worst = 0;
    double least = HUGE_VAL;
    double most = -HUGE_VAL;
    for (std::int64_t i = 0; i < hc_ * hc_; ++i) {
      const Logit logit = LogitAt(token, 2 * hc_ + i, scale);
      worst = std::max(worst, logit.error);
      least = std::min(least, logit.value);
      most = std::max(most, logit.value);
    }
    const auto hc = static_cast<double>(hc_);
    const double of_m =
        2 * worst +
        (2 * (most - least) + 2 * arithmetic_.exp_ulps + hc + arithmetic_.recip_ulps) * kF32Eps;
    const double k = 2.0 * iterations - 1;
    const double of_step = hc + 1 + arithmetic_.recip_ulps;
    return std::expm1(2 * k * of_m + ((2 * k - 1) * of_step + 3) * kF32Eps);
  }

 private:
  struct Logit {
    double value = 0;
    double error = 0;  // largest, absolute
  };

  // z = (fn x rs) scale + base with rs = 1 / rms.
  //
  // fn x: a lane's chain has four blocks for each stream of each chunk of its slice, then come
  // three levels of lanes and four of slices; each costs at most u of the sum of magnitudes.
  // rs: the chain of squares (per stream), the same seven levels and log2(hc) of streams, the mean
  // and its eps; all terms are positive, and the root halves what they cost; root and reciprocal
  // cost one u each. z: two products and a sum.
  // Split: what two bf16 leave of fn is 2^-17 of it. A step of a chain on tensor cores truncates,
  // 2^-23 of the sum of magnitudes: 2 hc of them in a chunk, then the chunks of a slice, hi and lo,
  // and the tree; 48 if that is more, the contract's figure for what hardware does inside a step.
  Logit LogitAt(std::int64_t token, std::int64_t row, double scale) const {
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
    const auto hc = static_cast<double>(hc_);
    const double rs = 1 / std::sqrt(squares / static_cast<double>(k) + rms_eps_);
    const double chunks = std::ceil(std::ceil(static_cast<double>(hidden_) / 32) / 16);
    const double steps = std::max(48.0, 2 * hc + chunks + 5);
    const double of_dot = arithmetic_.split ? 0x1p7 + 2 * steps : 4 * hc * chunks + 7;
    const double of_squares = arithmetic_.split ? 2 * steps : 4 * chunks + 7;
    const double of_rs = (of_squares + std::log2(hc) + 2) / 2 + 2;
    const double scaled = std::abs(dot * rs * scale);
    return {dot * rs * scale + base_[row], kF32Eps * (of_dot * terms * rs * std::abs(scale) +
                                                      (of_rs + 3) * scaled + std::abs(base_[row]))};
  }

  const void* streams_ = nullptr;
  DType type_ = kBF16;
  std::int64_t hc_ = 0;
  std::int64_t hidden_ = 0;
  const float* fn_ = nullptr;
  const float* base_ = nullptr;
  double rms_eps_ = 0;
  MhcArithmetic arithmetic_ = {};
};

}  // namespace birkhoff::harness
