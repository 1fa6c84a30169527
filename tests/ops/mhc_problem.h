// An mHC problem that owns its memory, for tests that change one thing and look at the result.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "birkhoff/dtype.h"
#include "kernels/args/mhc.h"

namespace birkhoff::ops {

// Activations of either type, as floats outside.
class Activations {
 public:
  Activations() = default;
  Activations(DType type, std::int64_t count)
      : type_(type), bytes_(static_cast<std::size_t>(count) * SizeOf(type)) {}

  void* data() { return bytes_.data(); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size() / SizeOf(type_)); }

  float Get(std::int64_t i) const {
    if (type_ == DType::kF32) return reinterpret_cast<const float*>(bytes_.data())[i];
    return static_cast<float>(reinterpret_cast<const bf16*>(bytes_.data())[i]);
  }
  void Set(std::int64_t i, float value) {
    if (type_ == DType::kF32) {
      reinterpret_cast<float*>(bytes_.data())[i] = value;
    } else {
      reinterpret_cast<bf16*>(bytes_.data())[i] = bf16(value);
    }
  }

 private:
  DType type_ = DType::kF32;
  std::vector<std::byte> bytes_ = {};
};

struct MhcProblem {
  MhcProblem(std::int64_t tokens_, std::int64_t hc_, std::int64_t hidden_, DType type_,
             unsigned seed = 1)
      : tokens(tokens_),
        hc(hc_),
        hidden(hidden_),
        type(type_),
        x(type_, tokens_ * hidden_),
        streams(type_, tokens_ * hc_ * hidden_) {
    std::mt19937 bits(seed);
    const auto uniform = [&](double low, double high) {
      return static_cast<float>(low + (high - low) * static_cast<double>(bits()) / 4294967295.0);
    };
    const auto fill = [&](std::vector<float>& v, std::int64_t count, double low, double high) {
      v.resize(static_cast<std::size_t>(count));
      for (float& f : v) f = uniform(low, high);
    };
    const std::int64_t rows = hc * (hc + 2);
    const double of_fn = 2 / std::sqrt(static_cast<double>(hc * hidden));  // mixes of order 1
    for (std::int64_t i = 0; i < x.size(); ++i) x.Set(i, uniform(-2, 2));
    for (std::int64_t i = 0; i < streams.size(); ++i) streams.Set(i, uniform(-2, 2));
    fill(fn, rows * hc * hidden, -of_fn, of_fn);
    fill(base, rows, -1, 1);
    fill(scale, 3, 0.8, 1.2);
    fill(post_in, tokens * hc, 0, 2);
    fill(comb_in, tokens * hc * hc, 0, 0.5);
    fill(norm, hidden, 0.5, 1.5);
    pre.resize(static_cast<std::size_t>(tokens * hc));
    post.resize(pre.size());
    comb.resize(static_cast<std::size_t>(tokens * hc * hc));
  }

  MhcSite Site() const {
    MhcSite s = constants;
    s.fn = fn.data();
    s.base = base.data();
    s.scale = scale.data();
    return s;
  }
  MhcCoeffsArgs Coeffs() {
    return {streams.data(), Site(), pre.data(), post.data(), comb.data(), type, tokens, hc, hidden};
  }

  MhcBoundaryArgs Boundary(Activations& streams_out, Activations& h) {
    MhcBoundaryArgs a;
    a.x = x.data();
    a.streams = streams.data();
    a.post = post_in.data();
    a.comb = comb_in.data();
    a.site = Site();
    a.norm_weight = norm.data();
    a.streams_out = streams_out.data();
    a.pre_out = pre.data();
    a.post_out = post.data();
    a.comb_out = comb.data();
    a.h = h.data();
    a.type = type;
    a.tokens = tokens;
    a.hc = hc;
    a.hidden = hidden;
    return a;
  }

  // m = 0, so that logits are base alone.
  void FeedLogits(const std::vector<float>& comb_logits) {
    std::fill(fn.begin(), fn.end(), 0.0f);
    std::fill(scale.begin(), scale.end(), 1.0f);
    std::copy(comb_logits.begin(), comb_logits.end(), base.begin() + 2 * hc);
  }

  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  DType type = DType::kF32;
  MhcSite constants = {};
  Activations x = {};
  Activations streams = {};
  std::vector<float> fn = {}, base = {}, scale = {}, post_in = {}, comb_in = {}, norm = {};
  std::vector<float> pre = {}, post = {}, comb = {};
};

}  // namespace birkhoff::ops
