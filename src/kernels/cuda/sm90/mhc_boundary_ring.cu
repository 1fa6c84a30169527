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
#include "kernels/cuda/ptx/registers.h"
#include "kernels/cuda/ptx/store.h"
#include "kernels/cuda/ptx/sync.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kMostOwn = kMostRingTokens / kTile / 2;  // tokens of a block, in one team
constexpr int kBatch = 32;                             // tokens that the judge balances together
constexpr int kLogits = 17;     // floats from a token to the next: lanes in different banks
constexpr int kFragments = 24;  // of fn, 16 bytes for each lane, of a chunk
// What groups exchange: three floats and the number of the tile.
constexpr int kSumPieces = kSums / 3;  // of a token and slice
constexpr int kVerdictPieces = 2;      // of a token: pre 0 1 2; pre 3, the norm, whether it is late
static_assert(kSumPieces * 3 == kSums);

// What the blocks of a group tell each other, in device memory.
struct Exchange {
  static constexpr int kTurns = 8;  // tiles; as many as a ring has slots at most
  uint4 sums[kTurns][kTile][kSlices][kSumPieces];
  uint4 verdicts[kTurns][kTile][kVerdictPieces];
  unsigned tiles;     // that the group has seen in all launches
  unsigned finished;  // blocks that came to the end of launches with late tokens
};

template <int H, bool kInClusters>
struct Shape {
  static constexpr int kHidden = H;
  static constexpr bool kClusters = kInClusters;
  static constexpr int kChunks = H / kChunk / kSlices;
  // Which warps, registers and slots: docs/notes/mhc.md has what else was tried.
  static constexpr int kEach = H == 7168 ? 2 : 1;  // chunks of a brick
  static constexpr int kBricks = kChunks / kEach;
  static constexpr int kFolders = H == 5120 ? 2 : 1;
  static constexpr int kCollapsers = H == 4096 ? 4 : 5;
  static constexpr int kServices = 3 + kFolders + kCollapsers;  // judge, producer, storer, these
  static constexpr int kWarps = kBricks + kServices;
  static constexpr int kThreads = kWarps * 32;
  static_assert(kWarps % 4 == 0);

  // The first warps, bricks and some others, take registers that the rest leaves.
  static constexpr int kRich = H == 5120 ? 12 : 8;
  static constexpr int kRichRegisters = H == 4096 ? (kClusters ? 192 : 184) : H == 5120 ? 120 : 208;
  static constexpr int kOtherRegisters = H == 4096 ? (kClusters ? 64 : 72) : H == 5120 ? 56 : 48;
  static_assert(kRich % 4 == 0 && kRich >= kBricks);
  static_assert(kRich * kRichRegisters + (kWarps - kRich) * kOtherRegisters <=
                65536 / kThreads / 8 * 8 * kWarps);
  static constexpr int kHeld = H == 4096 ? 24 : H == 5120 ? 8 : 28;  // fragments, of a brick
  static constexpr int kKept = kEach * kFragments - kHeld;           // in shared memory

  static constexpr int kSlots = H == 4096 ? 8 : H == 5120 ? 5 : 4;
  static constexpr int kXSlots = H == 4096 ? 4 : H == 5120 ? 3 : 2;
  static constexpr int kPartials = H == 4096 ? 2 : 1;
  static constexpr int kInboxes = kClusters ? (kSlots + 1) / 2 : 1;
  static constexpr int kRow = kChunks * kChunk * 2;  // bytes of a token and stream
  static constexpr int kStream = kTile * kRow;
  // In a slot: streams, post, comb.
  static constexpr int kPost = kHc * kStream;
  static constexpr int kComb = kPost + kTile * kHc * 4;
  static constexpr int kSlotBytes = kComb + kTile * kHc * kHc * 4;

  // Where things are, in bytes.
  static constexpr int kFn = 0;
  static constexpr int kX = kFn + kBricks * kKept * 512;
  static constexpr int kStreams = kX + kXSlots * kStream;
  static constexpr int kPartial = kStreams + kSlots * kSlotBytes;
  static constexpr int kInbox = kPartial + kPartials * kChunks * kTile * kSums * 4;
  static constexpr int kInboxBytes = kSlices * (kClusters ? kSums * 4 : kSumPieces * 16);
  static constexpr int kVerdict = kInbox + kInboxes * kInboxBytes;
  static constexpr int kVerdictBytes = kClusters ? kSlots * kTile * kVerdictFloats * 4 : 0;
  static constexpr int kWeight = kVerdict + kVerdictBytes;
  static constexpr int kTotals = kWeight + kRow * 2;
  static constexpr int kLogit = kTotals + kSums * 4;
  static constexpr int kLate = kLogit + kBatch * kLogits * 4;  // a bit for each own token
  static constexpr int kAnyLate = kLate + kMostOwn / 8;
  static constexpr int kNumber = kAnyLate + 4;  // of tiles before this launch
  static constexpr int kBarriers = (kNumber + 4 + 7) / 8 * 8;
  // What bricks hold of fn passes through the end of the ring, which the first tiles do not need.
  static constexpr int kHeldBytes = kHeld * 512;
  static constexpr int kStaged = kInbox - kBricks * kHeldBytes;
  static constexpr int kFirstStaged = (kStaged - kStreams) / kSlotBytes;  // slot
  static_assert(kStaged >= kStreams && kFirstStaged > 0);

  // Numbers of barriers. Those of tile n are number + n % kSlots.
  static constexpr int kFnTaken = 0;
  static constexpr int kNumberHere = 1;            // of groups
  static constexpr int kFnHere = kNumberHere + 1;  // + brick
  static constexpr int kHere = kFnHere + kBricks;
  static constexpr int kSummed = kHere + kSlots;
  static constexpr int kFree = kSummed + kSlots;
  static constexpr int kFolded = kFree + kSlots;  // + n % kPartials
  // Of clusters.
  static constexpr int kJudged = kFolded + kPartials;
  static constexpr int kArrived = kJudged + kSlots;  // + own token % kInboxes
  static constexpr int kBarrierCount = kClusters ? kArrived + kInboxes : kJudged;
  static constexpr int kShared = kBarriers + 8 * kBarrierCount;
  static_assert(kShared <= kMostShared);
  static_assert(kSlots <= Exchange::kTurns);

  __device__ static constexpr int Arrivals(int barrier) {
    if (barrier == kFnTaken) return kBricks;
    if (barrier >= kHere && barrier < kSummed) return 32;
    if (barrier >= kSummed && barrier < kFree) return kBricks;
    if (barrier >= kFree && barrier < kFolded) return kCollapsers + 1;
    if (barrier >= kFolded && barrier < kJudged) return kFolders;
    return 1;
  }
};

// A place in a ring of `n`, and whether the ring was passed an odd number of times.
template <int n>
struct Turn {
  int at = 0;
  int phase = 0;
  __device__ void Next() {
    if (++at == n) {
      at = 0;
      phase ^= 1;
    }
  }
};

// A number that the compiler takes as it is: it would compute these again for every tile.
__device__ inline int Opaque(int v) {
  asm volatile("" : "+r"(v));
  return v;
}
__device__ inline std::uint32_t SharedBase() {
  extern __shared__ __align__(128) char shared[];
  return ptx::SharedAddress(shared);
}

// What a judge says of a token.
struct Heard {
  float pre[kHc];
  float norm;
  bool late;
};

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
  template <int kBegin, int kEnd>
  __device__ void Serve() const;
  __device__ void Bricks() const;
  __device__ void JudgeOwn() const;
  __device__ void Produce() const;
  __device__ void StoreTiles() const;
  __device__ void FoldTiles(int folder) const;
  __device__ void CollapseTiles(int collapser) const;
  __device__ void FinishLate() const;

  __device__ const float* Sums(int k, Turn<S::kInboxes>& box) const;
  __device__ void Tell(const Verdict<kHc, kMixes>& v, int n, int slot) const;
  __device__ void FoldToCluster(int folder, const float* partial, int n, int box) const;
  __device__ void FoldToGroup(int folder, const float* partial, int n) const;
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
template <int kBegin, int kEnd>
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
    CollapseTiles(service - kCollapser);
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
    ptx::StoreAsync(to + 16, {word(v.norm), v.direct, 0, 0}, signal);
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
    std::uint16_t* out = a.streams_out + token * kHc * H + column;
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
__device__ void Block<S>::CollapseTiles(int collapser) const {
  const bool normed = a.norm_weight != nullptr;
  const int column = rank * S::kChunks * kChunk + lane % 4 * 8;
  const int place = Place(0);
  constexpr int kAtOnce = S::kOtherRegisters < 56 ? 1 : S::kChunks;   // else they spill
  constexpr bool kAhead = !S::kClusters && S::kOtherRegisters >= 56;  // the same
  // A warp has what it needs of the weights to itself.
  for (int c = collapser; c < S::kChunks; c += S::kCollapsers)
    At<float>(S::kWeight)[c * kChunk + lane] =
        normed ? __ldg(a.norm_weight + FirstColumn() + c * kChunk + lane) : 0;
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
    const int token = static_cast<int>(Token(n)) + lane / 4;
    const bool late = v.late && normed;
    const bool now = token < static_cast<int>(a.tokens) && !late;
    if (late && token < static_cast<int>(a.tokens)) *At<unsigned>(S::kAnyLate) = 1;
    std::uint16_t* h = a.h + static_cast<std::int64_t>(token) * H + column;
    const auto* tile = At<const char>(S::kStreams + slot.at * S::kSlotBytes);
#pragma unroll kAtOnce
    for (int i = 0; i < S::kChunks; i += S::kCollapsers) {
      const int c = i + collapser;
      if (c >= S::kChunks) break;
      const char* from = tile + c / 2 * 128 + (place ^ c % 2 * 64);
      uint4 mixed[kHc];
#pragma unroll
      for (int j = 0; j < kHc; ++j)
        mixed[j] = *reinterpret_cast<const uint4*>(from + j * S::kStream);
      float weight[8];
      const auto* weights = At<const float4>(S::kWeight) + c * 8 + lane % 4 * 2;
      *reinterpret_cast<float4*>(weight) = weights[0];
      *reinterpret_cast<float4*>(weight + 4) = weights[1];
      const uint4 out = Collapse<kHc>(mixed, v.pre, v.norm, weight, normed);
      if (now) ptx::Store(h + c * kChunk, out);
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
      CollapseRow<kHc>(team, streams, H, pre, scale, a.norm_weight, H, a.h + token * H);
    }
  }
}

template <class S>
__global__ void __launch_bounds__(S::kThreads, 1) Boundary(const __grid_constant__ BoundaryArgs a) {
  // A block anew for each role: what all had in common would stay in registers throughout.
  Block<S>{a}.Start();
  if (threadIdx.x < S::kRich * 32) {
    ptx::TakeRegisters<S::kRichRegisters>();
    if (threadIdx.x < S::kBricks * 32) {
      Block<S>{a}.Bricks();
    } else {
      Block<S>{a}.template Serve<0, S::kRich - S::kBricks>();
    }
  } else {
    ptx::LeaveRegisters<S::kOtherRegisters>();
    Block<S>{a}.template Serve<S::kRich - S::kBricks, S::kServices>();
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
  block.FinishLate();
}

template <int H>
using InClusters = Shape<H, true>;
template <int H>
using InGroups = Shape<H, false>;

template <int H>
constexpr ClusterKernel<BoundaryArgs> kKernel = {Boundary<InClusters<H>>, kSlices,
                                                 InClusters<H>::kThreads, InClusters<H>::kShared};

template <int H>
int Allowed() {
  static const int clusters = kKernel<H>.Allow();
  return clusters;
}

}  // namespace

int MostRingClusters(std::int64_t hidden) {
  int clusters = 0;
  WithHidden(hidden, [&]<int H>() { clusters = Allowed<H>(); });
  return clusters;
}

void EnqueueRing(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream) {
  WithHidden(a.constants.hidden, [&]<int H>() {
    static_cast<void>(Allowed<H>());
    kKernel<H>.Enqueue(clusters, a, stream);
  });
}

std::size_t GroupExchangeBytes() { return kMostGroups * sizeof(Exchange); }

void EnqueueGroups(const BoundaryArgs& a, std::int64_t groups, cudaStream_t stream) {
  WithHidden(a.constants.hidden, [&]<int H>() {
    using S = InGroups<H>;
    static const bool allowed = (AllowShared(Boundary<S>, S::kShared), true);
    static_cast<void>(allowed);
    Launch launch(static_cast<unsigned>(kSlices * groups), S::kThreads, S::kShared, stream);
    launch.AfterPrevious();
    launch.Enqueue(Boundary<S>, a);
  });
}

}  // namespace birkhoff::cuda::sm90
