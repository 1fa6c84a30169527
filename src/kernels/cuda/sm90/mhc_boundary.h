// What the forms of the Hopper boundary share. All keep the weights of one slice in a block,
// sixteen blocks together hold all of fn, and tiles of eight tokens stream past. They differ in how
// the sixteen exchange the sums of a token, and in where X' waits for the verdict:
//
//   cluster  (few tokens)  through the shared memory of a cluster; X' stays in registers
//   groups   (more)        through device memory; X' waits in a ring in shared memory. More blocks
//                          can work than clusters of sixteen fit on the chip
//   ring     (many)        through the shared memory of a cluster; X' waits in the same ring
#pragma once

#include "kernels/args/mhc.h"
#include "kernels/cuda/mhc_row.h"
#include "kernels/cuda/ptx/async.h"
#include "kernels/cuda/ptx/cluster.h"
#include "kernels/cuda/ptx/mbarrier.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary_plan.h"

namespace birkhoff::cuda::sm90 {

struct BoundaryArgs {
  const std::uint16_t* x = nullptr;        // [T, H]
  const std::uint16_t* streams = nullptr;  // [T, 4, H]
  const float4* post = nullptr;            // [T]
  const float4* comb = nullptr;            // [T, 4]
  const char* fn = nullptr;                // packed
  const float* base = nullptr;             // [24]
  const float* scale = nullptr;            // [3]
  const float* norm_weight = nullptr;      // [H], or null: not constants.normed
  std::uint16_t* streams_out = nullptr;    // [T, 4, H]; may be streams
  float* pre_out = nullptr;                // [T, 4]
  float* post_out = nullptr;               // [T, 4]
  float* comb_out = nullptr;               // [T, 4, 4]
  HTo h = {};
  void* exchange = nullptr;  // groups: GroupExchangeBytes(), 0 before the first launch
  std::int64_t tokens = 0;
  VerdictConstants constants = {};
  float sinkhorn_eps = 0;
  int iterations = 0;
};

// Tokens that a cluster of the cluster form takes at most: a block keeps a list of those it owns
// and could not finish on the way. The other forms keep a bit each: kMostRingTokens.
constexpr std::int64_t kMostClusterTokens = 512;

// Enqueue one boundary. The caller checked H: 4096, 5120 or 7168.
void EnqueueCluster(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream);
void EnqueueGroups(const BoundaryArgs& a, std::int64_t groups, cudaStream_t stream);
void EnqueueRing(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream);
std::size_t GroupExchangeBytes();

// Clusters of sixteen blocks of these forms that fit on the GPU at once; 0 where it has none.
int MostClusters(std::int64_t hidden);
int MostRingClusters(std::int64_t hidden);

constexpr int kMostShared = 232448;  // bytes of a block
constexpr int kHc = 4;
constexpr int kMixes = kHc * (kHc + 2);
constexpr int kSums = kPitch<kHc, kMixes>;          // floats of a token and slice
constexpr int kPieces = kSums / 4;                  // the same in 16 bytes
constexpr int kCoefficients = kHc * (kHc + 1);      // post and comb of a token
constexpr int kVerdictFloats = 8;                   // pre, norm, whether the row comes later
constexpr int kChunkBytes = 2 * kHc * 3 * 32 * 16;  // of packed fn

#ifdef __CUDACC__

// Calls f.template operator()<H, columns of an FP8 group, 0 for none>().
template <class F>
void WithShape(const BoundaryArgs& a, F f) {
  WithHidden(a.constants.hidden, [&]<int H>() {
    const std::int64_t group = a.h.fp8.format.group;
    if (group == 0) {
      f.template operator()<H, 0>();
    } else if (group == 32) {
      f.template operator()<H, 32>();
    } else {
      f.template operator()<H, 128>();
    }
  });
}

// The sums of a brick, to [8 tokens][kSums] in shared memory.
__device__ inline void StoreSums(const float (&acc)[3][4], const float (&g)[10], float* to) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < 3; ++m) {
    float* row = to + 2 * (lane % 4) * kSums + 8 * m + lane / 4;
    row[0] = __fadd_rn(acc[m][0], acc[m][2]);
    row[kSums] = __fadd_rn(acc[m][1], acc[m][3]);
  }
  if (HoldsSums(lane)) {
    auto* own = reinterpret_cast<float4*>(to + lane / 4 * kSums + kMixes);
    own[0] = {g[0], g[1], g[2], g[3]};
    own[1] = {g[4], g[5], g[6], g[7]};
    own[2] = {g[8], g[9], 0, 0};
  }
}

// Piece `piece` of a tile's sums, folded over the chunks of the slice from the left.
template <int kChunks>
__device__ inline float4 Fold(const float* partial, int piece) {
  const auto* from = reinterpret_cast<const float4*>(partial) + piece;
  float4 sum = *from;
#pragma unroll
  for (int c = 1; c < kChunks; ++c) {
    const float4 v = from[c * kTile * kPieces];
    sum = {__fadd_rn(sum.x, v.x), __fadd_rn(sum.y, v.y), __fadd_rn(sum.z, v.z),
           __fadd_rn(sum.w, v.w)};
  }
  return sum;
}

// The coefficients of a tile, five pieces of 16 bytes a token: one for each lane and eight again.
struct TileCoefficients {
  float4 first;
  float4 second;

  __device__ TileCoefficients(const BoundaryArgs& a, std::int64_t tile) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    first = Load(a, tile, lane);
    second = Load(a, tile, 32 + lane);
  }
  __device__ void Store(float* to) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    reinterpret_cast<float4*>(to)[lane] = first;
    if (lane < 8) reinterpret_cast<float4*>(to)[32 + lane] = second;
  }

 private:
  static __device__ float4 Load(const BoundaryArgs& a, std::int64_t tile, int piece) {
    const std::int64_t token = tile * kTile + piece / 5;
    if (piece >= 5 * kTile || token >= a.tokens) return {};
    return piece % 5 == 0 ? a.post[token] : a.comb[token * kHc + piece % 5 - 1];
  }
};

#endif  // __CUDACC__

}  // namespace birkhoff::cuda::sm90
