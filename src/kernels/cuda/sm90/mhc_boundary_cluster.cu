// The boundary by clusters of sixteen blocks, for few tokens: one tile after another, with one tile
// of lag between projection and collapse.
//
//   brick warps   a chunk each: X' of the tile, its sums; then the collapse of the tile before
//   folder        sums over the chunks, to the block that owns the token: token i of the cluster's
//                 n-th tile belongs to rank 2 i + n % 2
//   judge         sums over the slices, pre and the norm; tells all sixteen, then does Sinkhorn
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
  static constexpr int kBarriers = (kLateCount + 4 + 7) / 8 * 8;
  static constexpr int kShared = kBarriers + 8 * 8;
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
  // 0 fn is there; 1 sums of all slices; 2, 3 verdicts; 4, 5 coefficients; 6, 7 sums of the chunks.
  static __device__ std::uint32_t Barrier(int i) {
    return ptx::SharedAddress(At<char>(S::kBarriers)) + 8 * i;
  }

  __device__ void Start() const {
    for (int i = 0; i < 8; ++i) ptx::InitBarrier(Barrier(i), i < 6 ? 1 : S::kChunks);
    ptx::FenceBarrierInit();
    *At<int>(S::kLateCount) = 0;
    ptx::ArriveExpect(Barrier(0), S::kFn);
    const char* from = a.fn + static_cast<std::int64_t>(rank) * S::kFn;
    for (int c = 0; c < S::kChunks; ++c)
      ptx::BulkLoad(ptx::SharedAddress(At<char>(c * kChunkBytes)), from + c * kChunkBytes,
                    kChunkBytes, Barrier(0));
  }

  __device__ void Bricks(const float (&weight)[8], int column) const;
  __device__ void FoldAndSend() const;
  __device__ void JudgeOwn(const Affine<kHc, kMixes>& affine) const;
  __device__ void FinishLate() const;
};

template <int H>
__device__ void Block<H>::Bricks(const float (&weight)[8], int column) const {
  const bool normed = a.norm_weight != nullptr;
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
    if (of < a.tokens && (verdict[5] == 0 || !normed))
      ptx::Store(a.h + of * H + column, Collapse<kHc>(before, p, verdict[4], weight, normed));
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
__device__ void Block<H>::FinishLate() const {
  const int late = a.norm_weight != nullptr ? *At<int>(S::kLateCount) : 0;
  const Team<SyncBlock> team = {static_cast<int>(threadIdx.x), S::kThreads, {}};
  for (int i = 0; i < late; ++i) {
    const Late& row = At<Late>(S::kLate)[i];
    const std::uint16_t* streams = a.streams_out + static_cast<std::int64_t>(row.token) * kHc * H;
    const float scale = DirectNorm<kHc>(team, streams, row.pre, a.constants, At<float>(0));
    CollapseRow<kHc>(team, streams, H, row.pre, scale, a.norm_weight, H,
                     a.h + static_cast<std::int64_t>(row.token) * H);
  }
}

template <int H>
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
        warp < S::kChunks && a.norm_weight != nullptr ? __ldg(a.norm_weight + column + i) : 0;
  const Affine<kHc, kMixes> affine(a.scale, a.base, lane);
  ptx::ClusterSyncRelaxed();
  ptx::WaitForPrevious();
  ptx::ReleaseNext();
  if (warp < S::kChunks) {
    block.Bricks(weight, column);
  } else if (warp == S::kChunks) {
    block.FoldAndSend();
  } else {
    block.JudgeOwn(affine);
  }
  __syncwarp();
  ptx::ClusterSync();  // nobody leaves while another may still write to it
  block.FinishLate();
}

template <int H>
constexpr ClusterKernel<BoundaryArgs> kKernel = {Boundary<H>, kSlices, Shape<H>::kThreads,
                                                 Shape<H>::kShared};

template <int H>
int Allowed() {
  static const int clusters = kKernel<H>.Allow();
  return clusters;
}

}  // namespace

int MostClusters(std::int64_t hidden) {
  int clusters = 0;
  WithHidden(hidden, [&]<int H>() { clusters = Allowed<H>(); });
  return clusters;
}

void EnqueueCluster(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream) {
  WithHidden(a.constants.hidden, [&]<int H>() {
    static_cast<void>(Allowed<H>());
    kKernel<H>.Enqueue(clusters, a, stream);
  });
}

}  // namespace birkhoff::cuda::sm90
