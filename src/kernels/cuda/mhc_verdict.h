// What is decided about one token once its sums are known, in class "mhc bf16x2".
#pragma once

#include "kernels/cuda/mhc_coefficients.h"
#include "kernels/cuda/ptx/store.h"

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
  float norm;                      // 1 / root mean square of v; means nothing where `direct`
  bool direct;                     // v must be summed itself
};

struct VerdictConstants {
  std::int64_t hidden = 0;
  float of_streams = 0;  // 1 / (hc H)
  float of_row = 0;      // 1 / H
  float rms_eps = 0;
  float pre_eps = 0;
  float post_mult = 0;
  float norm_eps = 0;
  bool strict = false;  // the norm is that of bf16(v)

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
  v.norm = 0;
  v.direct = true;
  if constexpr (hc == 4) {
    float q;
    v.direct = !SquareOfSum(v.pre, g, q) || c.strict;
    v.norm = NormScale(q, c.of_row, c.norm_eps);
  }
  return v;
}

// Eight columns of a row of bf16 from `column` on; beyond the end of the row they are 0.
__device__ inline uint4 LoadColumns(const std::uint16_t* row, std::int64_t column,
                                    std::int64_t hidden) {
  if (hidden % 8 == 0)
    return column < hidden ? __ldcg(reinterpret_cast<const uint4*>(row + column)) : uint4{};
  unsigned w[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    w[i] = column + 2 * i < hidden ? row[column + 2 * i] : 0;
    if (column + 2 * i + 1 < hidden) w[i] |= static_cast<unsigned>(row[column + 2 * i + 1]) << 16;
  }
  return {w[0], w[1], w[2], w[3]};
}

__device__ inline void StoreColumns(const uint4& v, std::uint16_t* row, std::int64_t column,
                                    std::int64_t hidden) {
  if (hidden % 8 == 0) {
    if (column < hidden) ptx::Store(row + column, v);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (column + i < hidden)
      row[column + i] = static_cast<std::uint16_t>(Word(v, i / 2) >> (i % 2 * 16));
  }
}

// The streams of a token, `step` elements from one to the next.
template <int hc>
__device__ inline void LoadStreams(const std::uint16_t* streams, std::int64_t step,
                                   std::int64_t column, std::int64_t hidden, uint4 (&v)[hc]) {
#pragma unroll
  for (int j = 0; j < hc; ++j) v[j] = LoadColumns(streams + j * step, column, hidden);
}
template <int hc>
__device__ inline void LoadStreams(const std::uint16_t* streams, std::int64_t column,
                                   std::int64_t hidden, uint4 (&v)[hc]) {
  LoadStreams<hc>(streams, hidden, column, hidden, v);
}

// Warps that work on one token: `rank` of `size` threads, multiples of 32, and their barrier.
template <class Sync>
struct Team {
  int rank;
  int size;
  Sync sync;
};

struct SyncBlock {
  __device__ void operator()() const { __syncthreads(); }
};

// The scale of the norm from the columns of v themselves, in the tree of the projection. `sums`:
// room for a float per chunk and one more, in shared memory.
template <int hc, class Sync>
__device__ inline float DirectNorm(const Team<Sync>& team, const std::uint16_t* streams,
                                   const float* pre, const VerdictConstants& c, float* sums) {
  const std::int64_t chunks = (c.hidden + kChunk - 1) / kChunk;
  const std::int64_t rounded_up = (chunks + 7) / 8 * 8;  // a warp takes eight, for the shuffles
  for (std::int64_t chunk = team.rank / 4; chunk < rounded_up; chunk += team.size / 4) {
    uint4 x[hc];
    LoadStreams<hc>(streams, chunk * kChunk + 8 * (team.rank % 4), c.hidden, x);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 v = Weigh<hc>(x, i, pre);
      if (c.strict) {
        const unsigned w = Pack(v.x, v.y);
        v = {Low(w), High(w)};
      }
      sum = __fmaf_rn(v.y, v.y, __fmaf_rn(v.x, v.x, sum));
    }
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
    if (team.rank % 4 == 0 && chunk < chunks) sums[chunk] = sum;
  }
  team.sync();
  if (team.rank < 32) {
    const int slice = team.rank % kSlices;
    float fold = 0;
    for (std::int64_t i = slice * chunks / kSlices; i < (slice + 1) * chunks / kSlices; ++i)
      fold = i == slice * chunks / kSlices ? sums[i] : __fadd_rn(fold, sums[i]);
#pragma unroll
    for (int step = 1; step < kSlices; step *= 2)
      fold = __fadd_rn(fold, __shfl_xor_sync(0xffffffffu, fold, step));
    if (team.rank == 0) sums[chunks] = NormScale(fold, c.of_row, c.norm_eps);
  }
  team.sync();
  return sums[chunks];
}

// h of a token from its streams, `step` elements from one to the next, by the threads of a team.
// weight may be null.
template <int hc, class Sync>
__device__ inline void CollapseRow(const Team<Sync>& team, const std::uint16_t* streams,
                                   std::int64_t step, const float* pre, float rs,
                                   const float* weight, std::int64_t hidden, std::uint16_t* h) {
  for (std::int64_t column = 8 * team.rank; column < hidden; column += 8 * team.size) {
    uint4 v[hc];
    LoadStreams<hc>(streams, step, column, hidden, v);
    float w[8];
#pragma unroll
    for (int i = 0; i < 8; ++i)
      w[i] = weight != nullptr && column + i < hidden ? weight[column + i] : 0;
    StoreColumns(Collapse<hc>(v, pre, rs, w, weight != nullptr), h, column, hidden);
  }
}

}  // namespace birkhoff::cuda
