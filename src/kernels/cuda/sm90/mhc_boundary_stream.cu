// The boundary by groups of sixteen blocks that exchange sums through device memory, between the
// few tokens of one tile a cluster and the many of the ring.
//
// Progress: a block waits for blocks of its own group alone. Blocks become resident in the order of
// their numbers (what decoupled look-back relies on too; a cooperative launch, which would promise
// it, cost 0.7 us on an H200), so that of each launch at most one group is incomplete, and complete
// groups finish by themselves. Only launches whose incomplete groups fill the GPU together could
// stop each other: nine streams of them on 132 multiprocessors.
//
//   brick warps   a chunk each: streams through a ring in shared memory, X' and its sums
//   folder        sums over the chunks, to device memory; holds the bricks when the collapse lags
//   publisher     counts the slice in for each token, behind a fence; brings coefficients
//   judges        own tokens in turn (token i of the group's n-th tile is rank 2 i + n % 2's): wait
//                 for sixteen slices, then sums over them, pre and the norm
//   balancer      Sinkhorn, off the path
//   collapsers    h of the own tokens; X' comes from L2
#include "kernels/cuda/ptx/sync.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kCoefficientSlots = 4;
constexpr int kVerdicts = 4;  // between judges and collapsers
// Tiles that the folder may be ahead of the collapse; bricks are two more at most. Without a limit
// X' leaves L2 before it is read again: 146 us in place of 137 at H = 4096, T = 4096 on an H200.
constexpr int kMostLag = 4;
constexpr int kTeamBarrier = 1;

template <int H>
struct Shape {
  static constexpr int kChunks = H / kChunk / kSlices;
  // At 7168 bricks take fourteen of the 24 warps that their registers leave room for: there the
  // folder publishes too, so that seven warps collapse a token in two steps of two blocks, not in
  // three.
  static constexpr int kPublishers = H == 7168 ? 0 : 1;
  static constexpr int kJudges = H == 7168 ? 1 : 2;
  static constexpr int kCollapsers = H == 5120 ? 5 : 7;
  static constexpr int kBlocks = H / (32 * 8);       // of 256 columns, a warp's step
  static constexpr int kAtOnce = H == 4096 ? 3 : 2;  // blocks a collapser loads together
  static constexpr int kStages = H == 4096 ? 3 : H == 5120 ? 2 : 1;
  static constexpr int kPartials = H == 7168 ? 1 : 2;
  static constexpr int kThreads = (kChunks + 2 + kPublishers + kJudges + kCollapsers) * 32;
  static constexpr int kStageBytes = kChunks * (kHc + 1) * 512;
  static constexpr int kFn = kChunks * kChunkBytes;
  static constexpr int kStage = kFn;
  static constexpr int kPartial = kStage + kStages * kStageBytes;
  static constexpr int kVerdict = kPartial + kPartials * kChunks * kTile * kSums * 4;
  static constexpr int kCoefficient = kVerdict + kVerdicts * kVerdictFloats * 4;
  static constexpr int kQueue = kCoefficient + kCoefficientSlots * kTile * kCoefficients * 4;
  static constexpr int kTotals = kQueue + LogitQueue::kBytes;
  static constexpr int kDirect = kTotals + kJudges * kSums * 4;
  static constexpr int kCollapsed = kDirect + (H / kChunk + 1) * 4;
  static constexpr int kBarriers = (kCollapsed + 4 + 7) / 8 * 8;

  // Numbers of barriers, and how many of each.
  static constexpr int kFnHere = 0;
  static constexpr int kCoefficientsHere = 1;
  static constexpr int kSummed = kCoefficientsHere + kCoefficientSlots;  // all chunks of a tile
  static constexpr int kFolded = kSummed + 2;
  static constexpr int kStored = kFolded + 2;
  static constexpr int kArrived = kStored + kCoefficientSlots;
  static constexpr int kJudged = kArrived + kVerdicts;
  static constexpr int kFree = kJudged + kVerdicts;
  static constexpr int kShared = kBarriers + 8 * (kFree + kVerdicts);
};

struct SyncTeam {
  int threads;
  __device__ void operator()() const { ptx::SyncSome(kTeamBarrier, threads); }
};

template <int H>
struct Block {
  using S = Shape<H>;
  const BoundaryArgs& a;
  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp = static_cast<int>(threadIdx.x) / 32;
  int rank = static_cast<int>(blockIdx.x) % kSlices;
  int first = static_cast<int>(blockIdx.x) / kSlices;  // tile
  int groups = static_cast<int>(gridDim.x) / kSlices;  // tiles from one to the next
  int tiles = static_cast<int>((a.tokens + kTile - 1) / kTile);

  template <class T>
  static __device__ T* At(int offset) {
    extern __shared__ __align__(128) char shared[];
    return reinterpret_cast<T*>(shared + offset);
  }
  static __device__ std::uint32_t Barrier(int i) {
    return ptx::SharedAddress(At<char>(S::kBarriers)) + 8 * i;
  }
  // The k-th own token.
  __device__ std::int64_t Own(int k) const {
    return static_cast<std::int64_t>(first + (2 * k + (rank & 1)) * groups) * kTile + rank / 2;
  }
  __device__ int OwnCount() const {
    const std::int64_t token = Own(0);
    if (token >= a.tokens) return 0;
    return (static_cast<int>(a.tokens - token) - 1) / (2 * groups * kTile) + 1;
  }

  __device__ void Start() const;
  __device__ void KeepCoefficients(const TileCoefficients& c, int slot) const;
  __device__ void FirstCoefficients() const;
  __device__ void Bricks() const;
  __device__ void FoldTiles() const;
  __device__ void Publish(int tile) const;
  __device__ void PublishTiles() const;
  __device__ void JudgeOwn(int judge) const;
  template <int kGroup>
  __device__ void CollapseOwn(int collapser) const;
};

template <int H>
__device__ void Block<H>::Start() const {
  for (int i = 0; i < S::kFree + kVerdicts; ++i) {
    const bool of_bricks = i >= S::kSummed && i < S::kFolded;
    ptx::InitBarrier(Barrier(i), of_bricks ? S::kChunks : i >= S::kFree ? S::kCollapsers : 1);
  }
  ptx::FenceBarrierInit();
  LogitQueue{At<float>(S::kQueue)}.Init();
  *At<int>(S::kCollapsed) = 0;
  ptx::ArriveExpect(Barrier(S::kFnHere), S::kFn);
  const char* from = a.fn + static_cast<std::int64_t>(rank) * S::kFn;
  for (int c = 0; c < S::kChunks; ++c)
    ptx::BulkLoad(ptx::SharedAddress(At<char>(c * kChunkBytes)), from + c * kChunkBytes,
                  kChunkBytes, Barrier(S::kFnHere));
}

template <int H>
__device__ void Block<H>::Bricks() const {
  const int column = (rank * S::kChunks + warp) * kChunk + 8 * (lane % 4);
  // Numbers, not pointers, from tile to tile: registers are what bricks lack.
  const int step = groups * kTile;
  const int tokens = static_cast<int>(a.tokens);
  int token = first * kTile + lane / 4;
  int to_load = token;
  // A lane's place in a stage is its own: nobody else waits for it.
  const int own = S::kStage + warp * (kHc + 1) * 512 + lane * 16;
  const auto fetch = [&](int stage) {
    const std::uint32_t to = ptx::SharedAddress(At<char>(own)) + stage * S::kStageBytes;
    if (to_load < tokens) {
      const std::int64_t at = to_load;
      ptx::CopyAsync(to, a.x + at * H + column);
#pragma unroll
      for (int j = 0; j < kHc; ++j)
        ptx::CopyAsync(to + 512 * (j + 1), a.streams + (at * kHc + j) * H + column);
    }
    ptx::CommitCopies();
    to_load += step;
  };
#pragma unroll
  for (int i = 0; i < S::kStages; ++i) fetch(i);
  const auto* fn = At<const uint4>(warp * kChunkBytes) + lane;
  int stage = 0;
  int n = 0;
  for (; token - lane / 4 < tokens; ++n) {
    const int slot = n % kCoefficientSlots;
    ptx::WaitBarrierOfBlock(Barrier(S::kCoefficientsHere + slot), n / kCoefficientSlots & 1);
    ptx::WaitCopies<S::kStages - 1>();
    const auto* from = At<const uint4>(own + stage * S::kStageBytes);
    const uint4 in[kHc] = {from[32], from[64], from[96], from[128]};
    uint4 mixed[kHc];
    Mix<kHc>(from[0], in, At<float>(S::kCoefficient) + (slot * kTile + lane / 4) * kCoefficients,
             mixed);
    fetch(stage);
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
    if (token < tokens) {
      std::uint16_t* out = a.streams_out + static_cast<std::int64_t>(token) * kHc * H + column;
#pragma unroll
      for (int j = 0; j < kHc; ++j) ptx::Store(out + j * H, mixed[j]);
    }
    token += step;
    if (n == 0) ptx::WaitBarrierOfBlock(Barrier(S::kFnHere), 0);
    float acc[3][4], g[10];
    Project<kHc, 3>([&](int i) { return fn[i * 32]; }, mixed, acc);
    Gram<kHc>(mixed, lane, g);
    if (n >= S::kPartials) {
      const int before = n - S::kPartials;
      ptx::WaitBarrierOfBlock(Barrier(S::kFolded + (before & 1)), before >> 1 & 1);
    }
    StoreSums(acc, g,
              At<float>(S::kPartial) + (n % S::kPartials * S::kChunks + warp) * kTile * kSums);
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kSummed + (n & 1)));
  }
}

template <int H>
__device__ void Block<H>::FoldTiles() const {
  const volatile int* collapsed = At<volatile int>(S::kCollapsed);
  if constexpr (S::kPublishers == 0) FirstCoefficients();
  int n = 0;
  for (int tile = first; tile < tiles; tile += groups, ++n) {
    const TileCoefficients ahead(a,
                                 S::kPublishers == 0 ? tile + kCoefficientSlots * groups : tiles);
    const int due = S::kCollapsers * ((n - kMostLag + 1 - (rank & 1)) / 2);
    while (*collapsed < due) {
    }
    ptx::WaitBarrierOfBlock(Barrier(S::kSummed + (n & 1)), n >> 1 & 1);
    const float* partial = At<float>(S::kPartial) + n % S::kPartials * S::kChunks * kTile * kSums;
#pragma unroll
    for (int piece = lane; piece < kTile * kPieces; piece += 32) {
      const float4 sum = Fold<S::kChunks>(partial, piece);
      const std::int64_t token = static_cast<std::int64_t>(tile) * kTile + piece / kPieces;
      if (token < a.tokens)
        __stcg(reinterpret_cast<float4*>(a.partial) + (token * kSlices + rank) * kPieces +
                   piece % kPieces,
               sum);
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFolded + (n & 1)));
    if constexpr (S::kPublishers == 0) {
      Publish(tile);
      KeepCoefficients(ahead, n % kCoefficientSlots);
    } else {
      if (lane == 0) ptx::Arrive(Barrier(S::kStored + n % kCoefficientSlots));
    }
  }
}

template <int H>
__device__ void Block<H>::KeepCoefficients(const TileCoefficients& c, int slot) const {
  c.Store(At<float>(S::kCoefficient) + slot * kTile * kCoefficients);
  __syncwarp();
  if (lane == 0) ptx::Arrive(Barrier(S::kCoefficientsHere + slot));
}

template <int H>
__device__ void Block<H>::FirstCoefficients() const {
  for (int n = 0; n < kCoefficientSlots; ++n)
    KeepCoefficients(TileCoefficients(a, first + n * groups), n);
}

// Behind a fence for the sums, and for X', which the bricks stored before they were summed.
template <int H>
__device__ void Block<H>::Publish(int tile) const {
  __threadfence();
  const std::int64_t token = static_cast<std::int64_t>(tile) * kTile + lane;
  if (lane < kTile && token < a.tokens) ptx::AddRelaxed(a.arrived + token, 1);
}

template <int H>
__device__ void Block<H>::PublishTiles() const {
  FirstCoefficients();
  int n = 0;
  for (int tile = first; tile < tiles; tile += groups, ++n) {
    const int slot = n % kCoefficientSlots;
    const TileCoefficients ahead(a, tile + kCoefficientSlots * groups);
    ptx::WaitBarrierOfBlock(Barrier(S::kStored + slot), n / kCoefficientSlots & 1);
    Publish(tile);
    KeepCoefficients(ahead, slot);
  }
}

template <int H>
__device__ void Block<H>::JudgeOwn(int judge) const {
  const Affine<kHc, kMixes> affine(a.scale, a.base, lane);
  const LogitQueue queue{At<float>(S::kQueue)};
  const int count = OwnCount();
  for (int k = judge; k < count; k += S::kJudges) {
    const std::int64_t token = Own(k);
    const int slot = k % kVerdicts;
    if (k >= kVerdicts) ptx::WaitBarrierOfBlock(Barrier(S::kFree + slot), (k / kVerdicts - 1) & 1);
    ptx::WaitUntil(a.arrived + token, kSlices);
    __syncwarp();
    if (lane == 0) {
      a.arrived[token] = 0;  // for the next launch
      ptx::Arrive(Barrier(S::kArrived + slot));
    }
    const float* partial = a.partial + token * kSlices * kSums;
    const auto v = Judge<kHc, kMixes>(
        a.constants, affine, [&](int slice, int i) { return __ldcg(partial + slice * kSums + i); },
        At<float>(S::kTotals) + judge * kSums);
    if (lane == 0) {
      float* verdict = At<float>(S::kVerdict) + slot * kVerdictFloats;
      *reinterpret_cast<float4*>(verdict) = {v.pre[0], v.pre[1], v.pre[2], v.pre[3]};
      verdict[4] = v.norm;
      verdict[5] = v.direct ? 1.0f : 0.0f;
      ptx::Arrive(Barrier(S::kJudged + slot));
    }
    if (lane < kHc) a.pre_out[token * kHc + lane] = v.gate;
    if (lane >= kHc && lane < 2 * kHc) a.post_out[token * kHc + lane - kHc] = v.gate;
    queue.Push(k, v.logit[0]);
  }
}

template <int H>
template <int kGroup>
__device__ void Block<H>::CollapseOwn(int collapser) const {
  const Team<SyncTeam> team = {collapser * 32 + lane, S::kCollapsers * 32, {S::kCollapsers * 32}};
  const int count = OwnCount();
  for (int k = 0; k < count; ++k) {
    const std::int64_t token = Own(k);
    const int slot = k % kVerdicts;
    const std::uint16_t* streams = a.streams_out + token * kHc * H;
    uint4 v[S::kAtOnce][kHc];
    // Blocks b, b + kCollapsers, ...
    const auto load = [&](int b) {
#pragma unroll
      for (int i = 0; i < S::kAtOnce; ++i) {
        const int block = b + i * S::kCollapsers;
        if (block < S::kBlocks) LoadStreams<kHc>(streams, block * 256 + lane * 8, H, v[i]);
      }
    };
    ptx::WaitBarrierOfBlock(Barrier(S::kArrived + slot), k / kVerdicts & 1);
    load(collapser);  // before the verdict, which takes as long
    ptx::WaitBarrierOfBlock(Barrier(S::kJudged + slot), k / kVerdicts & 1);
    const float* verdict = At<float>(S::kVerdict) + slot * kVerdictFloats;
    const float4 p = *reinterpret_cast<const float4*>(verdict);
    const float pre[kHc] = {p.x, p.y, p.z, p.w};
    float scale = verdict[4];
    if (verdict[5] != 0)
      scale = DirectNorm<kHc>(team, streams, pre, a.constants, At<float>(S::kDirect));
#pragma unroll
    for (int b = collapser; b < S::kBlocks; b += S::kAtOnce * S::kCollapsers) {
#pragma unroll
      for (int i = 0; i < S::kAtOnce; ++i) {
        const int block = b + i * S::kCollapsers;
        if (block >= S::kBlocks) continue;
        float weight[8] = {1, 1, 1, 1, 1, 1, 1, 1};
        if (a.norm_weight != nullptr) {
          const auto* from =
              reinterpret_cast<const float4*>(a.norm_weight + block * 256 + lane * 8);
          *reinterpret_cast<float4*>(weight) = __ldg(from);
          *reinterpret_cast<float4*>(weight + 4) = __ldg(from + 1);
        }
        PutH<kGroup>(a.h, token, block * 256 + lane * 8, H,
                     Collapse<kHc>(v[i], pre, scale, weight));
      }
      load(b + S::kAtOnce * S::kCollapsers);
    }
    __syncwarp();
    if (lane == 0) {
      ptx::Arrive(Barrier(S::kFree + slot));
      atomicAdd(At<int>(S::kCollapsed), 1);
    }
  }
}

template <int H, int kGroup>
__global__ void __launch_bounds__(Shape<H>::kThreads, 1)
    Boundary(const __grid_constant__ BoundaryArgs a) {
  using S = Shape<H>;
  static_assert(S::kShared <= kMostShared);
  // A block anew for each role: what all had in common would stay in registers throughout.
  if (threadIdx.x == 0) Block<H>{a}.Start();
  __syncthreads();
  ptx::WaitForPrevious();
  ptx::ReleaseNext();
  const int service = static_cast<int>(threadIdx.x) / 32 - S::kChunks;
  const int judge = service - 2 - S::kPublishers;
  if (service < 0) {
    Block<H>{a}.Bricks();
  } else if (service == 0) {
    Block<H>{a}.FoldTiles();
  } else if (service == 1) {
    const Block<H> block{a};
    LogitQueue{Block<H>::template At<float>(S::kQueue)}.Balance(
        a, block.OwnCount(), [&](int k) { return block.Own(k); });
  } else if (judge < 0) {
    Block<H>{a}.PublishTiles();
  } else if (judge < S::kJudges) {
    Block<H>{a}.JudgeOwn(judge);
  } else {
    Block<H>{a}.template CollapseOwn<kGroup>(judge - S::kJudges);
  }
}

}  // namespace

void EnqueueStream(const BoundaryArgs& a, std::int64_t groups, cudaStream_t stream) {
  WithShape(a, [&]<int H, int kGroup>() {
    static const bool allowed = (AllowShared(Boundary<H, kGroup>, Shape<H>::kShared), true);
    static_cast<void>(allowed);
    Launch launch(static_cast<unsigned>(kSlices * groups), Shape<H>::kThreads, Shape<H>::kShared,
                  stream);
    launch.AfterPrevious();
    launch.Enqueue(Boundary<H, kGroup>, a);
  });
}

}  // namespace birkhoff::cuda::sm90
