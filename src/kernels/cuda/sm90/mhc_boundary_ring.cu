// The boundary by teams of sixteen blocks whose tiles stream through a ring in shared memory. A
// slot holds a tile of the slice from the moment it is asked for until its h is written; X' takes
// the place of X and waits there for the verdict. Teams are of two kinds:
//
//   clusters    exchange sums and verdicts through shared memory, whatever else the GPU does
//   groups      through device memory: more of them fit on the chip, and they start one block at a
//               time. Pieces of 16 bytes each carry the number of their tile: whoever waits for
//               one asks until the number is right, and nobody needs a fence or a counter
//
// Progress of groups: a block waits for blocks of its own group alone. Blocks become resident in
// the order of their numbers (what decoupled look-back relies on too; a cooperative launch, which
// would promise it, cost 0.7 us on an H200). So at most one group of a launch is incomplete, and
// complete groups finish by themselves. Only launches whose incomplete groups fill the GPU together
// could stop each other: nine streams of them on 132 multiprocessors.
//
// Warps:
//
//   bricks      one or two chunks each: X' of the tile, its sums. Part of fn stays in registers,
//               which leaves room for more slots
//   judge       own tokens (token i of the team's n-th tile is rank 2 i + n % 2's): sums over the
//               slices, pre and the norm, for all sixteen. Then Sinkhorn for 32 tokens at a time,
//               a lane each: that takes as long as for one
//   producer    asks for tiles: streams, x, coefficients
//   storer      writes X'
//   folders     sums over the chunks, for the block that owns the token
//   collapsers  h, once the verdict is there
//
// FP8 in groups of 128, two lines of 64 columns: at H = 5120 and 7168 a slice has an odd number of
// lines, and one is half of a group that another block has too. Both tell each other the largest.
#include "kernels/cuda/ptx/registers.h"
#include "kernels/cuda/ptx/store.h"
#include "kernels/cuda/ptx/sync.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary.h"
#include "kernels/cuda/sm90/mhc_ring_shape.h"

namespace birkhoff::cuda::sm90 {
namespace {

template <class S>
struct Block {
  static constexpr int H = S::kHidden;
  const BoundaryArgs& a;
  std::uint32_t base = static_cast<std::uint32_t>(Opaque(static_cast<int>(SharedBase())));
  int lane = static_cast<int>(threadIdx.x) % 32;
  int block = Opaque(static_cast<int>(blockIdx.x));
  int rank = block % kSlices;
  int first = block / kSlices;                                // tile
  int teams = Opaque(static_cast<int>(gridDim.x) / kSlices);  // tiles from one to the next
  int count = Count();                                        // tiles of this team

  __device__ int Count() const {
    const int tiles = static_cast<int>((a.tokens + kTile - 1) / kTile);
    return (tiles - first + teams - 1) / teams;
  }
  // The first token of the team's n-th tile.
  __device__ std::int64_t Token(int n) const {
    return (first + static_cast<std::int64_t>(n) * teams) * kTile;
  }
  // The k-th own token, of tile 2 k + rank % 2.
  __device__ std::int64_t Own(int k) const { return Token(2 * k + rank % 2) + rank / 2; }
  __device__ std::int64_t FirstColumn() const { return rank * S::kChunks * kChunk; }
  template <class T>
  __device__ T* At(int offset) const {
    return static_cast<T*>(__cvta_shared_to_generic(base + offset));
  }
  __device__ Exchange& With() const { return static_cast<Exchange*>(a.exchange)[first]; }
  // What pieces of the n-th tile carry, once the judge has said so.
  __device__ unsigned Number(int n) const { return *At<volatile unsigned>(S::kNumber) + 1 + n; }
  __device__ void WaitForNumber() const { ptx::WaitBarrierOfBlock(Barrier(S::kNumberHere), 0); }
  __device__ std::uint32_t Barrier(int i) const { return base + S::kBarriers + 8 * i; }
  template <int n>
  __device__ void Wait(int barrier, const Turn<n>& turn) const {
    ptx::WaitBarrierOfBlock(Barrier(barrier + turn.at), turn.phase);
  }
  // Until what had this place before is done with it.
  template <int n>
  __device__ void WaitForPlace(int barrier, const Turn<n>& turn) const {
    ptx::WaitBarrierOfBlock(Barrier(barrier + turn.at), turn.phase ^ 1);
  }
  // Where a brick's lane has its columns of chunk c in a row of tokens. Two tokens that are read
  // in one step would meet in the same banks: every other one has its chunks in pairs exchanged.
  __device__ int Place(int c) const {
    return lane / 4 * S::kRow + c / 2 * 128 + ((c ^ lane / 4) & 1) * 64 + lane % 4 * 16;
  }
  // The same for lanes of which eight have two chunks of a token, c even; four tokens at a time.
  __device__ int PlaceInLine() const {
    return lane / 8 * S::kRow + (lane % 8 ^ lane / 8 % 2 * 4) * 16;
  }

  __device__ void Start() const;
  template <int kGroup, int kBegin, int kEnd>
  __device__ void Serve() const;
  __device__ void Bricks() const;
  __device__ void JudgeOwn() const;
  __device__ void Produce() const;
  __device__ void StoreTiles() const;
  __device__ void FoldTiles(int folder) const;
  template <int kGroup>
  __device__ void CollapseTiles(int collapser) const;
  template <int kGroup>
  __device__ void FinishLate() const;

  __device__ const float* Sums(int k, Turn<S::kInboxes>& box) const;
  __device__ void Tell(const Verdict<kHc, kMixes>& v, int n, int slot) const;
  __device__ void FoldToCluster(int folder, const float* partial, int n, int box) const;
  __device__ void FoldToGroup(int folder, const float* partial, int n) const;
  __device__ void CollapseChunks(int collapser, int n, int slot, const Heard& v) const;
  __device__ uint4 CollapseLine(int slot, int half, int line, const float* verdicts) const;
  __device__ float OfOtherHalf(int n, const Turn<S::kSlots>& slot, int half, float largest) const;
  template <int kGroup>
  __device__ void PutLine(int n, int half, int line, const float* verdicts, const uint4& h,
                          float largest) const;
  template <int kGroup>
  __device__ void CollapseLines(int collapser, int n, const Turn<S::kSlots>& slot,
                                const float* verdicts) const;
};

template <class S>
__device__ void Block<S>::Start() const {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
#pragma unroll  // in a loop each takes a fence, 0.1 us on an H200
    for (int i = 0; i < S::kBarrierCount; ++i) ptx::InitBarrier(Barrier(i), S::Arrivals(i));
    ptx::FenceBarrierInit();
  }
  for (int i = thread; i <= kMostOwn / 32; i += S::kThreads) At<unsigned>(S::kLate)[i] = 0;
  __syncthreads();
  if constexpr (S::kClusters) ptx::ClusterArriveRelaxed();
}

// Code for the services of kBegin ... kEnd - 1 alone: each set has its number of registers.
template <class S>
template <int kGroup, int kBegin, int kEnd>
__device__ void Block<S>::Serve() const {
  if constexpr (S::kClusters) ptx::ClusterWait();
  const int service = static_cast<int>(threadIdx.x) / 32 - S::kBricks;
  const auto is = [&](int first, int end) {
    return first < kEnd && kBegin < end && first <= service && service < end;
  };
  constexpr int kProducer = 1 + S::kFolders;
  constexpr int kStorer = kProducer + 1;
  constexpr int kCollapser = kStorer + 1;
  if (is(0, 1)) {
    JudgeOwn();
  } else if (is(1, kProducer)) {
    FoldTiles(service - 1);
  } else if (is(kProducer, kStorer)) {
    Produce();
  } else if (is(kStorer, kCollapser)) {
    StoreTiles();
  } else if (is(kCollapser, S::kServices)) {
    CollapseTiles<kGroup>(service - kCollapser);
  }
}

template <class S>
__device__ void Block<S>::Bricks() const {
  const int brick = static_cast<int>(threadIdx.x) / 32;
  // Each brick asks for its part of fn itself and waits for that alone.
  if (lane == 0) {
    const int fn = S::kFnHere + brick;
    const char* from = a.fn + (rank * S::kBricks + brick) * (S::kEach * kChunkBytes);
    ptx::ArriveExpect(Barrier(fn), S::kEach * kChunkBytes);
    ptx::BulkLoad(base + S::kStaged + brick * S::kHeldBytes, from, S::kHeldBytes, Barrier(fn));
    if (S::kKept != 0)
      ptx::BulkLoad(base + S::kFn + brick * S::kKept * 512, from + S::kHeldBytes, S::kKept * 512,
                    Barrier(fn));
  }
  __syncwarp();
  if constexpr (S::kClusters) ptx::ClusterWait();
  uint4 held[S::kHeld];
  ptx::WaitBarrierOfBlock(Barrier(S::kFnHere + brick), 0);
  const auto* staged = At<const uint4>(S::kStaged + brick * S::kHeldBytes) + lane;
#pragma unroll
  for (int i = 0; i < S::kHeld; ++i) held[i] = staged[i * 32];
  __syncwarp();
  if (lane == 0) ptx::Arrive(Barrier(S::kFnTaken));
  ptx::WaitBarrierOfBlock(Barrier(S::kFnTaken), 0);  // sums go where fn was
  const auto* kept = At<const uint4>(S::kFn + brick * S::kKept * 512) + lane;
  const int place = Place(brick * S::kEach);
  ptx::WaitForPrevious();  // bricks touch no device memory, but what they release does
  ptx::ReleaseNext();
  Turn<S::kSlots> slot;
  Turn<S::kXSlots> x_slot;
  Turn<S::kPartials> partial;
  for (int n = 0; n < count; ++n) {
    Wait(S::kHere, slot);
    char* tile = At<char>(S::kStreams + slot.at * S::kSlotBytes);
    const auto* x = At<const char>(S::kX + x_slot.at * S::kStream);
#pragma unroll
    for (int e = 0; e < S::kEach; ++e) {
      const int here = place ^ e * 64;
      const auto stream = [&](int j) -> uint4& {
        return *reinterpret_cast<uint4*>(tile + here + j * S::kStream);
      };
      uint4 mixed[kHc];
      {
        float c[kCoefficients];
        *reinterpret_cast<float4*>(c) =
            *reinterpret_cast<const float4*>(tile + S::kPost + lane / 4 * 16);
#pragma unroll
        for (int j = 0; j < kHc; ++j)
          *reinterpret_cast<float4*>(c + kHc + j * kHc) =
              *reinterpret_cast<const float4*>(tile + S::kComb + lane / 4 * 64 + j * 16);
        const uint4 in[kHc] = {stream(0), stream(1), stream(2), stream(3)};
        Mix<kHc>(*reinterpret_cast<const uint4*>(x + here), in, c, mixed);
      }
#pragma unroll
      for (int j = 0; j < kHc; ++j) stream(j) = mixed[j];
      float acc[3][4], g[10];
      Project<kHc, 3>(
          [&](int i) {
            i += e * kFragments;
            return i < S::kHeld ? held[i < S::kHeld ? i : 0] : kept[(i - S::kHeld) * 32];
          },
          mixed, acc);
      Gram<kHc>(mixed, lane, g);
      if (e == 0 && n >= S::kPartials) WaitForPlace(S::kFolded, partial);
      StoreSums(acc, g,
                At<float>(S::kPartial) +
                    (partial.at * S::kChunks + brick * S::kEach + e) * kTile * kSums);
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kSummed + slot.at));
    slot.Next();
    x_slot.Next();
    partial.Next();
  }
}

// The sums of all slices of the k-th own token, once they are there.
template <class S>
__device__ const float* Block<S>::Sums(int k, Turn<S::kInboxes>& box) const {
  if constexpr (S::kClusters) {
    if (lane == 0) ptx::ArriveExpect(Barrier(S::kArrived + box.at), S::kInboxBytes);
    __syncwarp();
    Wait(S::kArrived, box);
  } else {
    constexpr int kEach = kSlices * kSumPieces / 32;
    const int n = 2 * k + rank % 2;
    const unsigned number = Number(n);
    const uint4* sums = With().sums[n % Exchange::kTurns][rank / 2][0] + lane;
    uint4 v[kEach];
#pragma unroll
    for (uint4& piece : v) piece.w = number - 1;
    bool all;
    do {
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        if (v[i].w != number) v[i] = ptx::LoadPiece(sums + 32 * i);
      }
      all = true;
#pragma unroll
      for (const uint4& piece : v) all &= piece.w == number;
    } while (!__all_sync(0xffffffffu, all));
#pragma unroll
    for (int i = 0; i < kEach; ++i) At<uint4>(S::kInbox)[32 * i + lane] = v[i];
    __syncwarp();
  }
  return At<float>(S::kInbox + box.at * S::kInboxBytes);
}

template <class S>
__device__ void Block<S>::Tell(const Verdict<kHc, kMixes>& v, int n, int slot) const {
  const auto word = [](float f) { return __float_as_uint(f); };
  if constexpr (S::kClusters) {
    if (lane >= kSlices) return;
    const std::uint32_t to = ptx::RemoteAddress(
        base + S::kVerdict + (slot * kTile + rank / 2) * kVerdictFloats * 4, lane);
    const std::uint32_t signal = ptx::RemoteAddress(Barrier(S::kJudged + slot), lane);
    ptx::StoreAsync(to, {word(v.pre[0]), word(v.pre[1]), word(v.pre[2]), word(v.pre[3])}, signal);
    ptx::StoreAsync(to + 16, {word(v.norm), word(v.direct ? 1.0f : 0.0f), 0, 0}, signal);
  } else {
    uint4* to = With().verdicts[n % Exchange::kTurns][rank / 2];
    const unsigned number = Number(n);
    if (lane == 0) ptx::StorePiece(to, {word(v.pre[0]), word(v.pre[1]), word(v.pre[2]), number});
    if (lane == 1) ptx::StorePiece(to + 1, {word(v.pre[3]), word(v.norm), v.direct, number});
  }
}

template <class S>
__device__ void Block<S>::JudgeOwn() const {
  const Affine<kHc, kMixes> affine(a.scale, a.base, lane);
  const int own_count = (count - rank % 2 + 1) / 2;
  Turn<S::kInboxes> box;
  int slot = rank % 2;
  ptx::WaitForPrevious();
  if constexpr (!S::kClusters) {
    if (lane == 0) {
      *At<unsigned>(S::kNumber) = With().tiles;
      ptx::Arrive(Barrier(S::kNumberHere));
    }
    __syncwarp();
  }
  for (int k = 0; k < own_count; ++k) {
    const float* sums = Sums(k, box);
    const auto verdict = Judge<kHc, kMixes>(
        a.constants, affine,
        [&](int slice, int i) {
          return S::kClusters ? sums[slice * kSums + i]
                              : sums[slice * kSumPieces * 4 + i / 3 * 4 + i % 3];
        },
        At<float>(S::kTotals));
    Tell(verdict, 2 * k + rank % 2, slot);
    const std::int64_t token = Own(k);
    if (token < a.tokens) {
      if (lane < kHc) a.pre_out[token * kHc + lane] = verdict.gate;
      if (lane >= kHc && lane < 2 * kHc) a.post_out[token * kHc + lane - kHc] = verdict.gate;
      if (verdict.direct && lane == 0) At<unsigned>(S::kLate)[k / 32] |= 1u << k % 32;
    }
    float* logits = At<float>(S::kLogit);
    if (lane >= 2 * kHc && lane < kMixes)
      logits[k % kBatch * kLogits + lane - 2 * kHc] = verdict.logit[0];
    __syncwarp();
    if (k % kBatch == kBatch - 1 || k + 1 == own_count) {
      const int mine = k / kBatch * kBatch + lane;
      if (mine <= k && Own(mine) < a.tokens)
        Sinkhorn<kHc>(logits + lane * kLogits, a.sinkhorn_eps, a.iterations,
                      a.comb_out + Own(mine) * kHc * kHc);
      __syncwarp();
    }
    box.Next();
    slot = (slot + 2) % S::kSlots;
  }
}

template <class S>
__device__ void Block<S>::Produce() const {
  const std::int64_t column = FirstColumn() + lane % 8 * 8;
  const int place = PlaceInLine();
  ptx::WaitForPrevious();
  Turn<S::kSlots> slot, mixed;
  Turn<S::kXSlots> x_slot;
  for (int n = 0; n < count; ++n) {
    if (n >= S::kSlots) WaitForPlace(S::kFree, slot);
    if (n == S::kFirstStaged) ptx::WaitBarrierOfBlock(Barrier(S::kFnTaken), 0);
    const std::int64_t token = Token(n) + lane / 8;
    const std::uint16_t* streams = a.streams + token * kHc * H + column;
    const std::uint32_t tile = base + S::kStreams + slot.at * S::kSlotBytes;
#pragma unroll
    for (int i = 0; i < kTile; i += 4) {
      if (token + i < a.tokens) {
#pragma unroll
        for (int j = 0; j < kHc; ++j) {
#pragma unroll
          for (int c = 0; c < S::kChunks; c += 2)
            ptx::CopyAsync(tile + place + j * S::kStream + i * S::kRow + c * 64,
                           streams + (i * kHc + j) * H + c * kChunk);
        }
      }
    }
    const std::int64_t start = Token(n);
    if (start + lane / kHc < a.tokens)
      ptx::CopyAsync(tile + S::kComb + lane * 16, a.comb + start * kHc + lane);
    if (lane < kTile && start + lane < a.tokens)
      ptx::CopyAsync(tile + S::kPost + lane * 16, a.post + start + lane);
    if (n >= S::kXSlots) {
      Wait(S::kSummed, mixed);  // the tile that had this place of x
      mixed.Next();
    }
    const std::uint16_t* x = a.x + token * H + column;
    const std::uint32_t to = base + S::kX + x_slot.at * S::kStream + place;
#pragma unroll
    for (int i = 0; i < kTile; i += 4) {
      if (token + i < a.tokens) {
#pragma unroll
        for (int c = 0; c < S::kChunks; c += 2)
          ptx::CopyAsync(to + i * S::kRow + c * 64, x + i * H + c * kChunk);
      }
    }
    ptx::ArriveAfterCopies(Barrier(S::kHere + slot.at));
    slot.Next();
    x_slot.Next();
  }
}

template <class S>
__device__ void Block<S>::StoreTiles() const {
  const std::int64_t column = FirstColumn() + lane % 8 * 8;
  const int place = PlaceInLine();
  ptx::WaitForPrevious();
  Turn<S::kSlots> slot;
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);
    const std::int64_t token = Token(n) + lane / 8;
    std::uint16_t* out = Opaque(a.streams_out + token * kHc * H + column);
    const char* from = At<const char>(S::kStreams + slot.at * S::kSlotBytes + place);
#pragma unroll
    for (int i = 0; i < kTile; i += 4) {
#pragma unroll
      for (int j = 0; j < kHc; ++j) {
        uint4 v[S::kChunks / 2];
#pragma unroll
        for (int c = 0; c < S::kChunks / 2; ++c)
          v[c] = *reinterpret_cast<const uint4*>(from + j * S::kStream + i * S::kRow + c * 128);
        if (token + i < a.tokens) {
#pragma unroll
          for (int c = 0; c < S::kChunks / 2; ++c)
            ptx::Store(out + (i * kHc + j) * H + c * 64, v[c]);
        }
      }
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFree + slot.at));
    slot.Next();
  }
}

template <class S>
__device__ void Block<S>::FoldToCluster(int folder, const float* partial, int n, int box) const {
  const std::uint32_t inbox = base + S::kInbox + box * S::kInboxBytes + rank * kSums * 4;
#pragma unroll
  for (int i = 0; i < kTile * kPieces; i += 32 * S::kFolders) {
    const int piece = i + folder * 32 + lane;
    if (piece >= kTile * kPieces) break;
    const float4 sum = Fold<S::kChunks>(partial, piece);
    const int owner = 2 * (piece / kPieces) + n % 2;
    ptx::StoreAsync(ptx::RemoteAddress(inbox + piece % kPieces * 16, owner),
                    {__float_as_uint(sum.x), __float_as_uint(sum.y), __float_as_uint(sum.z),
                     __float_as_uint(sum.w)},
                    ptx::RemoteAddress(Barrier(S::kArrived + box), owner));
  }
}

template <class S>
__device__ void Block<S>::FoldToGroup(int folder, const float* partial, int n) const {
  const unsigned number = Number(n);
  auto* to = With().sums[n % Exchange::kTurns];
#pragma unroll
  for (int i = 0; i < kTile * kSumPieces; i += 32 * S::kFolders) {
    const int piece = i + folder * 32 + lane;
    if (piece >= kTile * kSumPieces) break;
    float sum[3];
#pragma unroll
    for (int j = 0; j < 3; ++j) sum[j] = partial[3 * piece + j];
#pragma unroll
    for (int c = 1; c < S::kChunks; ++c) {
#pragma unroll
      for (int j = 0; j < 3; ++j)
        sum[j] = __fadd_rn(sum[j], partial[c * kTile * kSums + 3 * piece + j]);
    }
    ptx::StorePiece(
        &to[piece / kSumPieces][rank][piece % kSumPieces],
        {__float_as_uint(sum[0]), __float_as_uint(sum[1]), __float_as_uint(sum[2]), number});
  }
}

template <class S>
__device__ void Block<S>::FoldTiles(int folder) const {
  if constexpr (!S::kClusters) WaitForNumber();
  Turn<S::kSlots> slot;
  Turn<S::kPartials> from;
  Turn<2 * S::kInboxes> box;  // for two tiles, of even and of odd owners
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);
    const float* partial = At<float>(S::kPartial) + from.at * S::kChunks * kTile * kSums;
    // Where the sums go is free since the verdict on the tile that had it before: without it, and
    // those before it, which collapsers take in order, this tile had no slot.
    if constexpr (S::kClusters) {
      static_assert(2 * S::kInboxes >= S::kSlots);
      if (folder == 0 && lane == 0)
        ptx::ArriveExpect(Barrier(S::kJudged + slot.at), kTile * kVerdictFloats * 4);
      FoldToCluster(folder, partial, n, box.at / 2);
    } else {
      FoldToGroup(folder, partial, n);
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFolded + from.at));
    slot.Next();
    from.Next();
    box.Next();
  }
}

template <class S>
__device__ void Block<S>::CollapseChunks(int collapser, int n, int slot, const Heard& v) const {
  constexpr int kAtOnce = S::kOtherRegisters < 56 ? 1 : S::kChunks;  // else they spill
  const int column = rank * S::kChunks * kChunk + lane % 4 * 8;
  const int place = Place(0);
  const int token = static_cast<int>(Token(n)) + lane / 4;
  const bool now = token < static_cast<int>(a.tokens) && !v.late;
  std::uint16_t* h = a.h.bf16 + static_cast<std::int64_t>(token) * H + column;
  const auto* tile = At<const char>(S::kStreams + slot * S::kSlotBytes);
#pragma unroll kAtOnce
  for (int i = 0; i < S::kChunks; i += S::kCollapsers) {
    const int c = i + collapser;
    if (c >= S::kChunks) break;
    const char* from = tile + c / 2 * 128 + (place ^ c % 2 * 64);
    uint4 mixed[kHc];
#pragma unroll
    for (int j = 0; j < kHc; ++j) mixed[j] = *reinterpret_cast<const uint4*>(from + j * S::kStream);
    float weight[8];
    const auto* weights = At<const float4>(S::kWeight) + c * 8 + lane % 4 * 2;
    *reinterpret_cast<float4*>(weight) = weights[0];
    *reinterpret_cast<float4*>(weight + 4) = weights[1];
    const uint4 out = Collapse<kHc>(mixed, v.pre, v.norm, weight);
    if (now) ptx::Store(h + c * kChunk, out);
  }
}

// h of a line for four tokens. Lanes are those of PlaceInLine(); verdicts are of the tile.
template <class S>
__device__ uint4 Block<S>::CollapseLine(int slot, int half, int line, const float* verdicts) const {
  const float* verdict = verdicts + (half * (kTile / 2) + lane / 8) * kVerdictFloats;
  const float4 p = *reinterpret_cast<const float4*>(verdict);
  const float pre[kHc] = {p.x, p.y, p.z, p.w};
  const char* from = At<const char>(S::kStreams + slot * S::kSlotBytes) + PlaceInLine() +
                     half * (kTile / 2) * S::kRow + line * 128;
  uint4 mixed[kHc];
#pragma unroll
  for (int j = 0; j < kHc; ++j) mixed[j] = *reinterpret_cast<const uint4*>(from + j * S::kStream);
  float weight[8];
  const auto* weights = At<const float4>(S::kWeight + (line * 64 + lane % 8 * 8) * 4);
  *reinterpret_cast<float4*>(weight) = weights[0];
  *reinterpret_cast<float4*>(weight + 4) = weights[1];
  return Collapse<kHc>(mixed, pre, verdict[4], weight);
}

// Four tokens' largest magnitudes in the half of a group that another block has, for those of this
// one. A place is free again: the other writes the next into it after a verdict that follows when
// this warp is done with the slot.
template <class S>
__device__ float Block<S>::OfOtherHalf(int n, const Turn<S::kSlots>& slot, int half,
                                       float largest) const {
  const int other = rank ^ 1;
  const int token = half * (kTile / 2) + lane / 8;
  if constexpr (S::kClusters) {
    const int barrier = S::kLargestHere + 2 * slot.at + half;
    const int place = S::kLargest + (slot.at * kTile + token) * 4;
    if (lane == 0) ptx::ArriveExpect(Barrier(barrier), kTile / 2 * 4);
    if (lane % 8 == 0)
      ptx::StoreAsync(ptx::RemoteAddress(base + place, other), largest,
                      ptx::RemoteAddress(Barrier(barrier), other));
    ptx::WaitBarrierOfBlock(Barrier(barrier), slot.phase);
    return *At<float>(place);
  } else {
    const unsigned number = Number(n);
    auto* all = With().largest[n % Exchange::kTurns];
    if (lane % 8 == 0)
      ptx::StorePiece(&all[rank][token],
                      number | static_cast<std::uint64_t>(__float_as_uint(largest)) << 32);
    std::uint64_t heard;
    do {
      heard = ptx::LoadPiece(&all[other][token]);
    } while (static_cast<unsigned>(heard) != number);
    __syncwarp();
    return __uint_as_float(static_cast<unsigned>(heard >> 32));
  }
}

// Writes what CollapseLine() gave.
template <class S>
template <int kGroup>
__device__ void Block<S>::PutLine(int n, int half, int line, const float* verdicts, const uint4& h,
                                  float largest) const {
  const int token = static_cast<int>(Token(n)) + half * (kTile / 2) + lane / 8;
  const bool late = verdicts[(half * (kTile / 2) + lane / 8) * kVerdictFloats + 5] != 0;
  if (token >= static_cast<int>(a.tokens) || late) return;
  const int column = rank * S::kChunks * kChunk + line * 64 + lane % 8 * 8;
  const std::int64_t at = static_cast<std::int64_t>(token) * H + column;
  if (a.h.bf16 != nullptr) ptx::Store(a.h.bf16 + at, h);
  const float scale = fp8::ScaleOf(largest, a.h.fp8.format);
  ptx::Store(static_cast<std::uint8_t*>(a.h.fp8.data) + at, ToE4m3(h, DivisorOf(scale)));
  if (column % kGroup == 0) fp8::PutScale(a.h.fp8, token, column / kGroup, scale);
}

// To FP8; a unit is four tokens of a line, or of a group of 128. A split group comes last, by who
// has least to do: nobody else waits for the other block. Its second line is its first again, since
// a branch costs more than that. A Block anew for each unit: what would stay in registers from one
// to the next spills.
template <class S>
template <int kGroup>
__device__ void Block<S>::CollapseLines(int collapser, int n, const Turn<S::kSlots>& slot,
                                        const float* verdicts) const {
  constexpr int kLines = S::kChunks / 2;
  if constexpr (kGroup == 32) {
    constexpr int kAtOnce = S::kOtherRegisters < 64 ? 1 : 2;  // else they spill
#pragma unroll kAtOnce
    for (int i = 0; i < 2 * kLines; i += S::kCollapsers) {
      const int unit = i + collapser;
      const Block here{a};
      if (2 * kLines % S::kCollapsers != 0 && unit >= 2 * kLines) break;
      const uint4 h = here.CollapseLine(slot.at, unit % 2, unit / 2, verdicts);
      here.template PutLine<32>(n, unit % 2, unit / 2, verdicts, h, LargestOf<4>(LargestOf(h)));
      __syncwarp();
    }
  } else {
    constexpr int kWhole = kLines / 2 * 2;  // units
#pragma unroll 1
    for (int unit = collapser; unit < kWhole + kLines % 2 * 2; unit += S::kCollapsers) {
      const Block here{a};
      const int half = unit % 2;
      const bool split = unit >= kWhole;
      const int odd = kLines % 2 * (here.rank % 2);
      const int line = split ? (odd != 0 ? 0 : kLines - 1) : unit / 2 * 2 + odd;
      const int step = split ? 0 : 1;
      const uint4 h[2] = {here.CollapseLine(slot.at, half, line, verdicts),
                          here.CollapseLine(slot.at, half, line + step, verdicts)};
      float largest = LargestOf<8>(fmaxf(LargestOf(h[0]), LargestOf(h[1])));
      if (split) largest = fmaxf(largest, here.OfOtherHalf(n, slot, half, largest));
#pragma unroll
      for (int i = 0; i < 2; ++i)
        here.template PutLine<128>(n, half, line + i * step, verdicts, h[i], largest);
      __syncwarp();
    }
  }
}

template <class S>
template <int kGroup>
__device__ void Block<S>::CollapseTiles(int collapser) const {
  constexpr bool kAhead = !S::kClusters && S::kOtherRegisters >= 56;  // else they spill
  // What a warp needs of the weights it brings itself: those of its chunks, or all.
  constexpr int kStep = kGroup == 0 ? S::kCollapsers : 1;
  for (int c = kGroup == 0 ? collapser : 0; c < S::kChunks; c += kStep)
    At<float>(S::kWeight)[c * kChunk + lane] =
        a.norm_weight != nullptr ? __ldg(a.norm_weight + FirstColumn() + c * kChunk + lane) : 1;
  __syncwarp();
  ptx::WaitForPrevious();
  if constexpr (!S::kClusters) WaitForNumber();
  uint4 piece[kVerdictPieces];
  const auto ask = [&](int n) {
    const uint4* from = With().verdicts[n % Exchange::kTurns][lane / 4];
#pragma unroll
    for (int i = 0; i < kVerdictPieces; ++i) piece[i] = ptx::LoadPiece(from + i);
  };
  Turn<S::kSlots> slot;
  if (kAhead) ask(0);
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);  // orders X' before what follows; it is there long before the verdict
    Heard v;
    if constexpr (S::kClusters) {
      Wait(S::kJudged, slot);
      const float* verdict = At<float>(S::kVerdict) + (slot.at * kTile + lane / 4) * kVerdictFloats;
      const float4 p = *reinterpret_cast<const float4*>(verdict);
      v = {{p.x, p.y, p.z, p.w}, verdict[4], verdict[5] != 0};
    } else {
      if (!kAhead) ask(n);
      while (piece[0].w != Number(n) || piece[1].w != Number(n)) ask(n);
      __syncwarp();
      v = {{__uint_as_float(piece[0].x), __uint_as_float(piece[0].y), __uint_as_float(piece[0].z),
            __uint_as_float(piece[1].x)},
           __uint_as_float(piece[1].y),
           piece[1].z != 0};
    }
    if (kAhead && n + 1 < count) ask(n + 1);
    if (v.late && Token(n) + lane / 4 < a.tokens) *At<unsigned>(S::kAnyLate) = 1;
    if constexpr (kGroup == 0) {
      CollapseChunks(collapser, n, slot.at, v);
    } else {
      float* verdicts =
          At<float>(S::kVerdict) + (S::kClusters ? slot.at : collapser) * kTile * kVerdictFloats;
      if (!S::kClusters && lane % 4 == 0) {
        auto* to = reinterpret_cast<float4*>(verdicts + lane / 4 * kVerdictFloats);
        to[0] = {v.pre[0], v.pre[1], v.pre[2], v.pre[3]};
        to[1] = {v.norm, v.late ? 1.0f : 0.0f, 0, 0};
      }
      __syncwarp();
      CollapseLines<kGroup>(collapser, n, slot, verdicts);
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFree + slot.at));
    slot.Next();
  }
}

// Own tokens whose norm must be summed column by column, once all X' is there: after a barrier of
// the cluster, or when the whole group has come here, of which all blocks saw the same verdicts and
// come or do not. Where the ring was there is room now.
template <class S>
template <int kGroup>
__device__ void Block<S>::FinishLate() const {
  if (*At<unsigned>(S::kAnyLate) == 0) return;
  if constexpr (!S::kClusters) {
    if (threadIdx.x == 0) {
      unsigned& finished = With().finished;
      __threadfence();
      const unsigned before = atomicAdd(&finished, 1);
      ptx::WaitUntilNot(&finished, before / kSlices, kSlices);
    }
    __syncthreads();
  }
  const Team<SyncBlock> team = {static_cast<int>(threadIdx.x), S::kThreads, {}};
  const int own_count = (count - rank % 2 + 1) / 2;
  for (int k = 0; k < own_count; k += 32) {
    for (unsigned late = At<unsigned>(S::kLate)[k / 32]; late != 0; late &= late - 1) {
      const std::int64_t token = Own(k + __ffs(static_cast<int>(late)) - 1);
      const float4 p = __ldcg(reinterpret_cast<const float4*>(a.pre_out) + token);
      const float pre[kHc] = {p.x, p.y, p.z, p.w};
      const std::uint16_t* streams = a.streams_out + token * kHc * H;
      const float scale = DirectNorm<kHc>(team, streams, pre, a.constants, At<float>(S::kStreams));
      CollapseRow<kHc, kGroup>(team, streams, H, pre, scale, a.norm_weight, H, a.h, token);
    }
  }
}

template <class S, int kGroup>
__global__ void __launch_bounds__(S::kThreads, 1) Boundary(const __grid_constant__ BoundaryArgs a) {
  // A block anew for each role: what all had in common would stay in registers throughout.
  Block<S>{a}.Start();
  if (threadIdx.x < S::kRich * 32) {
    ptx::TakeRegisters<S::kRichRegisters>();
    if (threadIdx.x < S::kBricks * 32) {
      Block<S>{a}.Bricks();
    } else {
      Block<S>{a}.template Serve<kGroup, 0, S::kRich - S::kBricks>();
    }
  } else {
    ptx::LeaveRegisters<S::kOtherRegisters>();
    Block<S>{a}.template Serve<kGroup, S::kRich - S::kBricks, S::kServices>();
  }
  __syncwarp();
  const Block<S> block{a};
  if constexpr (S::kClusters) {
    ptx::ClusterSync();  // nobody leaves while another may still write to it
  } else {
    __syncthreads();
    // By now rank 0 has heard of all sixteen, which therefore know the old number.
    if (block.rank == 0 && threadIdx.x == 0)
      block.With().tiles = *block.template At<unsigned>(S::kNumber) + block.count;
  }
  block.template FinishLate<kGroup>();
}

template <int H>
using InClusters = Shape<H, true>;
template <int H>
using InGroups = Shape<H, false>;

template <int H, int kGroup>
constexpr ClusterKernel<BoundaryArgs> kKernel = {Boundary<InClusters<H>, kGroup>, kSlices,
                                                 InClusters<H>::kThreads, InClusters<H>::kShared};

template <int H, int kGroup>
int Allowed() {
  static const int clusters = kKernel<H, kGroup>.Allow();
  return clusters;
}

}  // namespace

int MostRingClusters(std::int64_t hidden) {
  int clusters = 0;
  WithHidden(hidden, [&]<int H>() { clusters = Allowed<H, 0>(); });
  return clusters;
}

void EnqueueRing(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream) {
  WithShape(a, [&]<int H, int kGroup>() {
    static_cast<void>(Allowed<H, kGroup>());
    kKernel<H, kGroup>.Enqueue(clusters, a, stream);
  });
}

std::size_t GroupExchangeBytes() { return kMostGroups * sizeof(Exchange); }

void EnqueueGroups(const BoundaryArgs& a, std::int64_t groups, cudaStream_t stream) {
  WithShape(a, [&]<int H, int kGroup>() {
    using S = InGroups<H>;
    static const bool allowed = (AllowShared(Boundary<S, kGroup>, S::kShared), true);
    static_cast<void>(allowed);
    Launch launch(static_cast<unsigned>(kSlices * groups), S::kThreads, S::kShared, stream);
    launch.AfterPrevious();
    launch.Enqueue(Boundary<S, kGroup>, a);
  });
}

}  // namespace birkhoff::cuda::sm90
