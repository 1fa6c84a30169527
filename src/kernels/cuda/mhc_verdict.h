// What is decided about one token once its sums are known, in class "mhc bf16x2".
#pragma once

#include "kernels/cuda/mhc_coefficients.h"

namespace birkhoff::cuda {

// The scale and base of the logits that a lane computes: rows lane, lane + 32, ...
template <int hc, int kRows>
struct Affine {
  static constexpr int kRounds = (kRows + 31) / 32;
  float scale[kRounds];
  float base[kRounds];

  __device__ Affine(const float* scales, const float* bases, int lane) {
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
      const int row = min(lane + 32 * r, kRows - 1);
      scale[r] = __ldg(scales + (row < hc ? 0 : row < 2 * hc ? 1 : 2));
      base[r] = __ldg(bases + row);
    }
  }
};

template <int hc, int kRows>
struct Verdict {
  float logit[(kRows + 31) / 32];  // of rows lane, lane + 32, ...
  float gate;                      // lanes below hc: pre; below 2 hc: post
  float pre[hc];                   // the same in every lane
  float norm;                      // 1 / root mean square of v, 1 without a norm
  bool direct;                     // v must be summed itself; `norm` means nothing
};

struct VerdictConstants {
  std::int64_t hidden = 0;
  float of_streams = 0;  // 1 / (hc H)
  float of_row = 0;      // 1 / H
  float rms_eps = 0;
  float pre_eps = 0;
  float post_mult = 0;
  float norm_eps = 0;
  bool normed = false;  // h is
  bool strict = false;  // by the norm of bf16(v)

  VerdictConstants() = default;
  explicit VerdictConstants(std::int64_t hc, std::int64_t hidden_)
      : hidden(hidden_),
        of_streams(1.0f / static_cast<float>(hc * hidden_)),
        of_row(1.0f / static_cast<float>(hidden_)) {}
};

// One warp. load(slice, value) gives the sums of a slice in the order of kPitch; `sums` is room for
// kPitch floats in shared memory.
template <int hc, int kRows, class Load>
__device__ inline Verdict<hc, kRows> Judge(const VerdictConstants& c,
                                           const Affine<hc, kRows>& affine, Load load,
                                           float* sums) {
  constexpr int kValues = kRows + kGrams<hc>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  constexpr int kByLanes = kValues % 32 == 2 ? kValues - 2 : kValues;  // the last two, if alone
#pragma unroll
  for (int r = 0; r < (kByLanes + 31) / 32; ++r) {
    const int v = lane + 32 * r;
    if (v < kByLanes) sums[v] = OverSlices([&](int slice) { return load(slice, v); });
  }
  if constexpr (kByLanes < kValues) {
    const int v = kByLanes + lane / kSlices;
    const float sum = OverSlicesByLanes(load(lane % kSlices, v));
    if (lane % kSlices == 0) sums[v] = sum;
  }
  __syncwarp();
  float g[kGrams<hc>];
#pragma unroll
  for (int i = 0; i < kGrams<hc>; ++i) g[i] = sums[kRows + i];
  float square[hc];
#pragma unroll
  for (int j = 0; j < hc; ++j) square[j] = g[hc == 4 ? j * (9 - j) / 2 : j];  // 0, 4, 7, 9
  const float rs = InverseRms<hc>(square, c.of_streams, c.rms_eps);
  Verdict<hc, kRows> v;
#pragma unroll
  for (int r = 0; r < Affine<hc, kRows>::kRounds; ++r)
    v.logit[r] = Logit(sums[min(lane + 32 * r, kRows - 1)], rs, affine.scale[r], affine.base[r]);
  __syncwarp();  // the next token writes `sums`
  const float sigmoid = Sigmoid(v.logit[0]);
  v.gate = lane < hc ? __fadd_rn(sigmoid, c.pre_eps) : __fmul_rn(c.post_mult, sigmoid);
#pragma unroll
  for (int j = 0; j < hc; ++j) v.pre[j] = __shfl_sync(0xffffffffu, v.gate, j);
  v.norm = 1;
  v.direct = c.normed;
  if constexpr (hc == 4) {
    float q;
    const bool good = SquareOfSum(v.pre, g, q);
    v.direct = c.normed && (!good || c.strict);
    if (c.normed) v.norm = NormScale(q, c.of_row, c.norm_eps);
  }
  return v;
}

}  // namespace birkhoff::cuda
