// The boundary by clusters of sixteen blocks, for few tokens: one tile after another, with one tile
// of lag between projection and collapse.
//
//   brick warps   a chunk each: X' of the tile, its sums; then the collapse of the tile before
//   folder        sums over the chunks, to the block that owns the token: token i of the cluster's
//                 n-th tile belongs to rank 2 i + n % 2
//   judge         sums over the slices, pre and the norm; tells all sixteen, then does Sinkhorn
//
// FP8 in groups of 128: the four warps of a group tell each other the largest of their chunks. At
// H = 5120 and 7168 every other group lies in two blocks.
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kMostLate = kMostClusterTokens / kTile / 2;  // tokens of a block, in one cluster

// A token whose norm must be summed column by column, after all tiles.
struct Late {
  int token;
  float pre[kHc];
};

template <int H>
struct Shape {
  static constexpr int kChunks = H / kChunk / kSlices;
  static constexpr int kThreads = (kChunks + 2) * 32;
  static constexpr int kFn = kChunks * kChunkBytes;
  static constexpr int kPartial = kFn;  // two
  static constexpr int kInbox = kPartial + 2 * kChunks * kTile * kSums * 4;
  static constexpr int kVerdict = kInbox + kSlices * kSums * 4;                   // two
  static constexpr int kCoefficient = kVerdict + 2 * kTile * kVerdictFloats * 4;  // two
  static constexpr int kTotals = kCoefficient + 2 * kTile * kCoefficients * 4;
  static constexpr int kLate = kTotals + kSums * 4;
  static constexpr int kLateCount = kLate + kMostLate * static_cast<int>(sizeof(Late));
  static constexpr int kGroups = (kChunks + 3) / 4;                 // of 128 columns, also in part
  static constexpr int kLargest = (kLateCount + 4 + 15) / 16 * 16;  // [two][group][token][chunk]
  static constexpr int kLargestBytes = kTile * 4 * 4;               // of a group
  static constexpr int kBarriers = kLargest + 2 * kGroups * kLargestBytes;
  static constexpr int kBarrierCount = 8 + 2 * kGroups;
  static constexpr int kShared = kBarriers + 8 * kBarrierCount;
};

// Eight columns of a token.
struct Columns {
  uint4 x;
  uint4 s[kHc];
};

template <int H>
__device__ Columns LoadTile(const BoundaryArgs& a, std::int64_t token, int column) {
  Columns t = {};
  if (token < a.tokens) {
    t.x = __ldcg(reinterpret_cast<const uint4*>(a.x + token * H + column));
#pragma unroll
    for (int j = 0; j < kHc; ++j)
      t.s[j] = __ldcg(reinterpret_cast<const uint4*>(a.streams + (token * kHc + j) * H + column));
  }
  return t;
}

template <int H>
struct Block {
  using S = Shape<H>;
  const BoundaryArgs& a;
  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp = static_cast<int>(threadIdx.x) / 32;
  int rank = static_cast<int>(ptx::ClusterRank());
  int first = static_cast<int>(ptx::ClusterId());        // tile
  int clusters = static_cast<int>(ptx::ClusterCount());  // tiles from one to the next
  int tiles = static_cast<int>((a.tokens + kTile - 1) / kTile);

  template <class T>
  static __device__ T* At(int offset) {
    extern __shared__ __align__(128) char shared[];
    return reinterpret_cast<T*>(shared + offset);
  }
  // 0 fn is there; 1 sums of all slices; 2, 3 verdicts; 4, 5 coefficients; 6, 7 sums of the chunks;
  // from 8 on the largest of the groups of 128.
  static __device__ std::uint32_t Barrier(int i) {
    return ptx::SharedAddress(At<char>(S::kBarriers)) + 8 * i;
  }

  __device__ void Start() const {
    for (int i = 0; i < S::kBarrierCount; ++i)
      ptx::InitBarrier(Barrier(i), i == 6 || i == 7 ? S::kChunks : 1);
    ptx::FenceBarrierInit();
    *At<int>(S::kLateCount) = 0;
    ptx::ArriveExpect(Barrier(0), S::kFn);
    const char* from = a.fn + static_cast<std::int64_t>(rank) * S::kFn;
    for (int c = 0; c < S::kChunks; ++c)
      ptx::BulkLoad(ptx::SharedAddress(At<char>(c * kChunkBytes)), from + c * kChunkBytes,
                    kChunkBytes, Barrier(0));
  }

  template <int kGroup>
  __device__ void Bricks(const float (&weight)[8], int column) const;
  __device__ float OfGroup(int n, float largest) const;
  __device__ void FoldAndSend() const;
  __device__ void JudgeOwn(const Affine<kHc, kMixes>& affine) const;
  template <int kGroup>
  __device__ void FinishLate() const;
};

// The largest of the group of 128 that the chunk of this warp belongs to, for the n-th tile. A slot
// is free again: the verdict on tile n takes the sums of tile n from every warp of the cluster, and
// a warp gives those after it is done with tile n - 2.
template <int H>
__device__ float Block<H>::OfGroup(int n, float largest) const {
  const int slot = n & 1;
  const int before = rank * S::kChunks % 4;  // chunks of the first group that the block before has
  const int group = (before + warp) / 4;
  const int chunk = (before + warp) % 4;
  const auto barrier = [&](int of) { return Barrier(8 + slot * S::kGroups + of); };
  const auto place = [&](int of) {
    return S::kLargest + (slot * S::kGroups + of) * S::kLargestBytes + lane / 4 * 16;
  };
  const auto tell = [&](int block, int of) {
    const std::uint32_t to = ptx::SharedAddress(At<char>(place(of))) + chunk * 4;
    ptx::StoreAsync(ptx::RemoteAddress(to, block), largest, ptx::RemoteAddress(barrier(of), block));
  };
  if (lane == 0 && (warp == 0 || chunk == 0)) ptx::ArriveExpect(barrier(group), S::kLargestBytes);
  if (lane % 4 == 0) {
    tell(rank, group);
    if (group * 4 < before) tell(rank - 1, S::kGroups - 1);
    if (group * 4 + 4 > before + S::kChunks) tell(rank + 1, 0);
  }
  ptx::WaitBarrierOfBlock(barrier(group), n >> 1 & 1);
  const float4 all = *At<const float4>(place(group));
  return fmaxf(fmaxf(all.x, all.y), fmaxf(all.z, all.w));
}

template <int H>
template <int kGroup>
__device__ void Block<H>::Bricks(const float (&weight)[8], int column) const {
  // Numbers, not pointers, from tile to tile: registers are what bricks lack.
  const int step = clusters * kTile;
  int token = first * kTile + lane / 4;
  Columns next = LoadTile<H>(a, token, column);
  const auto* fn = At<const uint4>(warp * kChunkBytes) + lane;
  uint4 before[kHc];
  const auto finish = [&](int n, std::int64_t of) {
    ptx::WaitBarrier(Barrier(2 + (n & 1)), n >> 1 & 1);
    const float* verdict = At<float>(S::kVerdict) + ((n & 1) * kTile + lane / 4) * kVerdictFloats;
    const float4 pre = *reinterpret_cast<const float4*>(verdict);
    const float p[kHc] = {pre.x, pre.y, pre.z, pre.w};
    const bool now = of < a.tokens && verdict[5] == 0;
    const uint4 h = Collapse<kHc>(before, p, verdict[4], weight);
    if (now && (kGroup == 0 || a.h.bf16 != nullptr)) ptx::Store(a.h.bf16 + of * H + column, h);
    if constexpr (kGroup != 0) {
      float largest = LargestOf<4>(LargestOf(h));
      if (kGroup == 128) largest = OfGroup(n, largest);
      if (now) PutFp8<kGroup>(a.h.fp8, of, column, H, h, largest);
    }
  };
  int n = 0;
  for (int tile = first; tile < tiles; tile += clusters, ++n) {
    const int slot = n & 1;
    uint4 mixed[kHc];
    ptx::WaitBarrierOfBlock(Barrier(4 + slot), n >> 1 & 1);
    Mix<kHc>(next.x, next.s, At<float>(S::kCoefficient) + (slot * kTile + lane / 4) * kCoefficients,
             mixed);
    next = LoadTile<H>(a, token + step, column);
    if (token < a.tokens) {
      std::uint16_t* out = a.streams_out + static_cast<std::int64_t>(token) * kHc * H + column;
#pragma unroll
      for (int j = 0; j < kHc; ++j) ptx::Store(out + j * H, mixed[j]);
    }
    if (n == 0) ptx::WaitBarrierOfBlock(Barrier(0), 0);
    float acc[3][4], g[10];
    Project<kHc, 3>([&](int i) { return fn[i * 32]; }, mixed, acc);
    Gram<kHc>(mixed, lane, g);
    StoreSums(acc, g, At<float>(S::kPartial) + (slot * S::kChunks + warp) * kTile * kSums);
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(6 + slot));
    if (n > 0) finish(n - 1, token - step);
    token += step;
#pragma unroll
    for (int j = 0; j < kHc; ++j) before[j] = mixed[j];
  }
  if (n > 0) finish(n - 1, token - step);
}

template <int H>
__device__ void Block<H>::FoldAndSend() const {
  const auto keep = [&](const TileCoefficients& c, int slot) {
    c.Store(At<float>(S::kCoefficient) + slot * kTile * kCoefficients);
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(4 + slot));
  };
  for (int n = 0; n < 2; ++n) keep(TileCoefficients(a, first + n * clusters), n);
  int n = 0;
  for (int tile = first; tile < tiles; tile += clusters, ++n) {
    const int slot = n & 1;
    const TileCoefficients ahead(a, tile + 2 * clusters);
    ptx::WaitBarrierOfBlock(Barrier(6 + slot), n >> 1 & 1);
    if (lane == 0) ptx::ArriveExpect(Barrier(2 + slot), kTile * kVerdictFloats * 4);
    __syncwarp();
    const float* partial = At<float>(S::kPartial) + slot * S::kChunks * kTile * kSums;
    const std::uint32_t inbox = ptx::SharedAddress(At<char>(S::kInbox)) + rank * kSums * 4;
#pragma unroll
    for (int piece = lane; piece < kTile * kPieces; piece += 32) {
      const float4 sum = Fold<S::kChunks>(partial, piece);
      const int owner = 2 * (piece / kPieces) + slot;
      ptx::StoreAsync(ptx::RemoteAddress(inbox + piece % kPieces * 16, owner),
                      {__float_as_uint(sum.x), __float_as_uint(sum.y), __float_as_uint(sum.z),
                       __float_as_uint(sum.w)},
                      ptx::RemoteAddress(Barrier(1), owner));
    }
    keep(ahead, slot);
  }
}

template <int H>
__device__ void Block<H>::JudgeOwn(const Affine<kHc, kMixes>& affine) const {
  const float* inbox = At<float>(S::kInbox);
  int own = 0;
  int n = 0;
  for (int tile = first; tile < tiles; tile += clusters, ++n) {
    if ((rank & 1) != (n & 1)) continue;
    if (lane == 0) ptx::ArriveExpect(Barrier(1), kSlices * kSums * 4);
    __syncwarp();
    ptx::WaitBarrier(Barrier(1), own & 1);
    const auto v = Judge<kHc, kMixes>(
        a.constants, affine, [&](int slice, int i) { return inbox[slice * kSums + i]; },
        At<float>(S::kTotals));
    if (lane < kSlices) {
      const int slot = (n & 1) * kTile + rank / 2;
      const std::uint32_t to = ptx::RemoteAddress(
          ptx::SharedAddress(At<char>(S::kVerdict)) + slot * kVerdictFloats * 4, lane);
      const std::uint32_t signal = ptx::RemoteAddress(Barrier(2 + (n & 1)), lane);
      ptx::StoreAsync(to,
                      {__float_as_uint(v.pre[0]), __float_as_uint(v.pre[1]),
                       __float_as_uint(v.pre[2]), __float_as_uint(v.pre[3])},
                      signal);
      ptx::StoreAsync(to + 16,
                      {__float_as_uint(v.norm), __float_as_uint(v.direct ? 1.0f : 0.0f), 0, 0},
                      signal);
    }
    const std::int64_t token = static_cast<std::int64_t>(tile) * kTile + rank / 2;
    if (token < a.tokens) {
      if (lane < kHc) a.pre_out[token * kHc + lane] = v.gate;
      if (lane >= kHc && lane < 2 * kHc) a.post_out[token * kHc + lane - kHc] = v.gate;
      if (v.direct && lane == 0) {
        int& late = *At<int>(S::kLateCount);
        At<Late>(S::kLate)[late++] = {static_cast<int>(token),
                                      {v.pre[0], v.pre[1], v.pre[2], v.pre[3]}};
      }
    }
    float* logits = At<float>(S::kTotals);
    if (lane >= 2 * kHc && lane < kMixes) logits[lane - 2 * kHc] = v.logit[0];
    __syncwarp();
    if (lane == 0 && token < a.tokens)
      Sinkhorn<kHc>(logits, a.sinkhorn_eps, a.iterations, a.comb_out + token * kHc * kHc);
    __syncwarp();
    ++own;
  }
}

// After a barrier of the cluster, so that X' is there; where fn was there is room now.
template <int H>
template <int kGroup>
__device__ void Block<H>::FinishLate() const {
  const int late = *At<int>(S::kLateCount);
  const Team<SyncBlock> team = {static_cast<int>(threadIdx.x), S::kThreads, {}};
  for (int i = 0; i < late; ++i) {
    const Late& row = At<Late>(S::kLate)[i];
    const std::uint16_t* streams = a.streams_out + static_cast<std::int64_t>(row.token) * kHc * H;
    const float scale = DirectNorm<kHc>(team, streams, row.pre, a.constants, At<float>(0));
    CollapseRow<kHc, kGroup>(team, streams, H, row.pre, scale, a.norm_weight, H, a.h, row.token);
  }
}

template <int H, int kGroup>
__global__ void __launch_bounds__(Shape<H>::kThreads, 1)
    Boundary(const __grid_constant__ BoundaryArgs a) {
  using S = Shape<H>;
  static_assert(S::kShared <= kMostShared);
  const Block<H> block{a};
  const int warp = block.warp;
  const int lane = block.lane;
  if (threadIdx.x == 0) block.Start();
  __syncthreads();
  // Parameters may be read before the launch before this one ends.
  const int column = (block.rank * S::kChunks + warp) * kChunk + 8 * (lane % 4);
  float weight[8];
#pragma unroll
  for (int i = 0; i < 8; ++i)
    weight[i] =
        warp < S::kChunks && a.norm_weight != nullptr ? __ldg(a.norm_weight + column + i) : 1;
  const Affine<kHc, kMixes> affine(a.scale, a.base, lane);
  ptx::ClusterSyncRelaxed();
  ptx::WaitForPrevious();
  ptx::ReleaseNext();
  if (warp < S::kChunks) {
    block.template Bricks<kGroup>(weight, column);
  } else if (warp == S::kChunks) {
    block.FoldAndSend();
  } else {
    block.JudgeOwn(affine);
  }
  __syncwarp();
  ptx::ClusterSync();  // nobody leaves while another may still write to it
  block.template FinishLate<kGroup>();
}

template <int H, int kGroup>
constexpr ClusterKernel<BoundaryArgs> kKernel = {Boundary<H, kGroup>, kSlices, Shape<H>::kThreads,
                                                 Shape<H>::kShared};

template <int H, int kGroup>
int Allowed() {
  static const int clusters = kKernel<H, kGroup>.Allow();
  return clusters;
}

}  // namespace

int MostClusters(std::int64_t hidden) {
  int clusters = 0;
  WithHidden(hidden, [&]<int H>() { clusters = Allowed<H, 0>(); });
  return clusters;
}

void EnqueueCluster(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream) {
  WithShape(a, [&]<int H, int kGroup>() {
    static_cast<void>(Allowed<H, kGroup>());
    kKernel<H, kGroup>.Enqueue(clusters, a, stream);
  });
}

}  // namespace birkhoff::cuda::sm90
