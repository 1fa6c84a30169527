// Whole rows by several warps: the norm of v from its columns, and h. Class "mhc bf16x2".
#pragma once

#include "kernels/cuda/mhc_fp8.h"
#include "kernels/cuda/mhc_verdict.h"
#include "kernels/cuda/ptx/store.h"

namespace birkhoff::cuda {

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

// Eight columns of h. With groups of FP8, of so many columns: for a warp as PutFp8() wants it.
template <int kGroup>
__device__ inline void PutH(const HTo& to, std::int64_t token, std::int64_t column,
                            std::int64_t hidden, const uint4& h) {
  if (kGroup == 0 || to.bf16 != nullptr) StoreColumns(h, to.bf16 + token * hidden, column, hidden);
  if constexpr (kGroup != 0) PutFp8<kGroup>(to.fp8, token, column, hidden, h);
}

// h of a token from its streams, `step` elements from one to the next, by the threads of a team.
// weight may be null.
template <int hc, int kGroup, class Sync>
__device__ inline void CollapseRow(const Team<Sync>& team, const std::uint16_t* streams,
                                   std::int64_t step, const float* pre, float rs,
                                   const float* weight, std::int64_t hidden, const HTo& to,
                                   std::int64_t token) {
  const int beyond = kGroup == 0 ? 0 : 8 * (team.rank % 32);  // FP8 wants whole warps
  for (std::int64_t column = 8 * team.rank; column < hidden + beyond; column += 8 * team.size) {
    uint4 v[hc];
    LoadStreams<hc>(streams, step, column, hidden, v);
    float w[8];
#pragma unroll
    for (int i = 0; i < 8; ++i)
      w[i] = weight != nullptr && column + i < hidden ? weight[column + i] : 1;
    PutH<kGroup>(to, token, column, hidden, Collapse<hc>(v, pre, rs, w));
  }
}

}  // namespace birkhoff::cuda
