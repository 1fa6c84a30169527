// The boundary by clusters of sixteen blocks, for many tokens: tiles stream through a ring in
// shared memory. A slot holds a tile of the slice from the moment it is asked for until its h is
// written; X' replaces X in place and waits there for the verdict.
//
//   bricks      one or two chunks each: X' of the tile, its sums. Part of fn stays in registers,
//               which leaves room for more slots
//   judge       own tokens (token i of the cluster's n-th tile is rank 2 i + n % 2's): sums over
//               the slices, pre and the norm; tells all sixteen. Then Sinkhorn for 32 tokens at a
//               time, a lane each: that takes as long as for one
//   producer    asks for tiles: streams, x, coefficients
//   storer      writes X'
//   folders     sums over the chunks, to the block that owns the token
//   collapsers  h, once the verdict is there
#include "kernels/cuda/ptx/registers.h"
#include "kernels/cuda/ptx/store.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kMostOwn = kMostRingTokens / kTile / 2;  // tokens of a block, in one cluster
constexpr int kBatch = 32;                             // tokens that the judge balances together
constexpr int kLogits = 17;     // floats from a token to the next: lanes in different banks
constexpr int kFragments = 24;  // of fn, 16 bytes for each lane, of a chunk

template <int H>
struct Shape {
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
  static constexpr int kRichRegisters = H == 4096 ? 192 : H == 5120 ? 120 : 208;
  static constexpr int kOtherRegisters = H == 4096 ? 64 : H == 5120 ? 56 : 48;
  static_assert(kRich % 4 == 0 && kRich >= kBricks);
  static_assert(kRich * kRichRegisters + (kWarps - kRich) * kOtherRegisters <=
                65536 / kThreads / 8 * 8 * kWarps);
  static constexpr int kHeld = H == 4096 ? 24 : H == 5120 ? 8 : 28;  // fragments, of a brick
  static constexpr int kKept = kEach * kFragments - kHeld;           // in shared memory

  static constexpr int kSlots = H == 4096 ? 8 : H == 5120 ? 5 : 4;
  static constexpr int kXSlots = H == 4096 ? 4 : H == 5120 ? 3 : 2;
  static constexpr int kPartials = H == 4096 ? 2 : 1;
  static constexpr int kInboxes = (kSlots + 1) / 2;
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
  static constexpr int kVerdict = kInbox + kInboxes * kSlices * kSums * 4;
  static constexpr int kWeight = kVerdict + kSlots * kTile * kVerdictFloats * 4;
  static constexpr int kTotals = kWeight + kRow * 2;
  static constexpr int kLogit = kTotals + kSums * 4;
  static constexpr int kLate = kLogit + kBatch * kLogits * 4;  // a bit for each own token
  // Of the FP8 group of 128 whose other half another block has: [slot][half of the tile][token].
  static constexpr int kLargest = kLate + kMostOwn / 8;
  static constexpr int kBarriers = (kLargest + kSlots * kTile * 4 + 7) / 8 * 8;
  // What bricks hold of fn passes through the end of the ring, which the first tiles do not need.
  static constexpr int kHeldBytes = kHeld * 512;
  static constexpr int kStaged = kInbox - kBricks * kHeldBytes;
  static constexpr int kFirstStaged = (kStaged - kStreams) / kSlotBytes;  // slot
  static_assert(kStaged >= kStreams && kFirstStaged > 0);

  // Numbers of barriers. Those of tile n are number + n % kSlots.
  static constexpr int kFnHere = 0;
  static constexpr int kFnTaken = 1;
  static constexpr int kHere = 2;
  static constexpr int kSummed = kHere + kSlots;
  static constexpr int kJudged = kSummed + kSlots;
  static constexpr int kFree = kJudged + kSlots;
  static constexpr int kFolded = kFree + kSlots;            // + n % kPartials
  static constexpr int kArrived = kFolded + kPartials;      // + own token % kInboxes
  static constexpr int kLargestHere = kArrived + kInboxes;  // + 2 (n % kSlots) + half
  static constexpr int kBarrierCount = kLargestHere + 2 * kSlots;
  static constexpr int kShared = kBarriers + 8 * kBarrierCount;
  static_assert(kShared <= kMostShared);

  __device__ static constexpr int Arrivals(int barrier) {
    if (barrier == kFnTaken) return kBricks;
    if (barrier >= kHere && barrier < kSummed) return 32;
    if (barrier >= kSummed && barrier < kJudged) return kBricks;
    if (barrier >= kFree && barrier < kFolded) return kCollapsers + 1;
    if (barrier >= kFolded && barrier < kArrived) return kFolders;
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

template <int H>
struct Block {
  using S = Shape<H>;
  const BoundaryArgs& a;
  std::uint32_t base = static_cast<std::uint32_t>(Opaque(static_cast<int>(SharedBase())));
  int lane = static_cast<int>(threadIdx.x) % 32;
  int rank = static_cast<int>(ptx::ClusterRank());
  int first = static_cast<int>(ptx::ClusterId());                // tile
  int clusters = Opaque(static_cast<int>(ptx::ClusterCount()));  // tiles from one to the next
  int count = Count();                                           // tiles of this cluster

  __device__ int Count() const {
    const int tiles = static_cast<int>((a.tokens + kTile - 1) / kTile);
    return (tiles - first + clusters - 1) / clusters;
  }
  // The first token of the cluster's n-th tile.
  __device__ std::int64_t Token(int n) const {
    return (first + static_cast<std::int64_t>(n) * clusters) * kTile;
  }
  // The k-th own token, of tile 2 k + rank % 2.
  __device__ std::int64_t Own(int k) const { return Token(2 * k + rank % 2) + rank / 2; }
  __device__ std::int64_t FirstColumn() const { return rank * S::kChunks * kChunk; }
  template <class T>
  __device__ T* At(int offset) const {
    return static_cast<T*>(__cvta_shared_to_generic(base + offset));
  }
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
  __device__ void CollapseTiles(int collapser) const;
  template <int kGroup>
  __device__ void CollapseTilesToFp8(int collapser) const;
  __device__ uint4 CollapseLine(int slot, int half, int line) const;
  __device__ void TellLargest(int which, int other, float largest) const;
  __device__ float HearLargest(int which, int phase) const;
  template <int kGroup>
  __device__ void FinishLate() const;
};

template <int H>
__device__ void Block<H>::Start() const {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int i = 0; i < S::kBarrierCount; ++i) ptx::InitBarrier(Barrier(i), S::Arrivals(i));
    ptx::FenceBarrierInit();
    ptx::ArriveExpect(Barrier(S::kFnHere), S::kChunks * kChunkBytes);
    const char* from = a.fn + static_cast<std::int64_t>(rank) * S::kChunks * kChunkBytes;
    for (int b = 0; b < S::kBricks; ++b) {
      ptx::BulkLoad(base + S::kStaged + b * S::kHeldBytes, from, S::kHeldBytes,
                    Barrier(S::kFnHere));
      if (S::kKept != 0)
        ptx::BulkLoad(base + S::kFn + b * S::kKept * 512, from + S::kHeldBytes, S::kKept * 512,
                      Barrier(S::kFnHere));
      from += S::kEach * kChunkBytes;
    }
  }
  for (int i = thread; i < kMostOwn / 32; i += S::kThreads) At<unsigned>(S::kLate)[i] = 0;
  // Parameters may be read before the launch before this one ends.
  for (int i = thread; i < S::kChunks * kChunk; i += S::kThreads)
    At<float>(S::kWeight)[i] =
        a.norm_weight != nullptr ? __ldg(a.norm_weight + FirstColumn() + i) : 1;
  __syncthreads();
  ptx::ClusterSyncRelaxed();
}

// Code for the services of kBegin ... kEnd - 1 alone: each set has its number of registers.
template <int H>
template <int kGroup, int kBegin, int kEnd>
__device__ void Block<H>::Serve() const {
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
    if constexpr (kGroup != 0) {
      CollapseTilesToFp8<kGroup>(service - kCollapser);
    } else {
      CollapseTiles(service - kCollapser);
    }
  }
}

template <int H>
__device__ void Block<H>::Bricks() const {
  const int brick = static_cast<int>(threadIdx.x) / 32;
  uint4 held[S::kHeld];
  ptx::WaitBarrierOfBlock(Barrier(S::kFnHere), 0);
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

template <int H>
__device__ void Block<H>::JudgeOwn() const {
  const Affine<kHc, kMixes> affine(a.scale, a.base, lane);
  const int own_count = (count - rank % 2 + 1) / 2;
  Turn<S::kInboxes> box;
  int slot = rank % 2;
  ptx::WaitForPrevious();
  for (int k = 0; k < own_count; ++k) {
    if (lane == 0) ptx::ArriveExpect(Barrier(S::kArrived + box.at), kSlices * kSums * 4);
    __syncwarp();
    Wait(S::kArrived, box);
    const float* inbox = At<float>(S::kInbox) + box.at * kSlices * kSums;
    const auto v = Judge<kHc, kMixes>(
        a.constants, affine, [&](int slice, int i) { return inbox[slice * kSums + i]; },
        At<float>(S::kTotals));
    if (lane < kSlices) {
      const std::uint32_t to = ptx::RemoteAddress(
          base + S::kVerdict + (slot * kTile + rank / 2) * kVerdictFloats * 4, lane);
      const std::uint32_t signal = ptx::RemoteAddress(Barrier(S::kJudged + slot), lane);
      ptx::StoreAsync(to,
                      {__float_as_uint(v.pre[0]), __float_as_uint(v.pre[1]),
                       __float_as_uint(v.pre[2]), __float_as_uint(v.pre[3])},
                      signal);
      ptx::StoreAsync(to + 16,
                      {__float_as_uint(v.norm), __float_as_uint(v.direct ? 1.0f : 0.0f), 0, 0},
                      signal);
    }
    const std::int64_t token = Own(k);
    if (token < a.tokens) {
      if (lane < kHc) a.pre_out[token * kHc + lane] = v.gate;
      if (lane >= kHc && lane < 2 * kHc) a.post_out[token * kHc + lane - kHc] = v.gate;
      if (v.direct && lane == 0) At<unsigned>(S::kLate)[k / 32] |= 1u << k % 32;
    }
    float* logits = At<float>(S::kLogit);
    if (lane >= 2 * kHc && lane < kMixes)
      logits[k % kBatch * kLogits + lane - 2 * kHc] = v.logit[0];
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

template <int H>
__device__ void Block<H>::Produce() const {
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

template <int H>
__device__ void Block<H>::StoreTiles() const {
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

template <int H>
__device__ void Block<H>::FoldTiles(int folder) const {
  Turn<S::kSlots> slot;
  Turn<S::kPartials> from;
  Turn<2 * S::kInboxes> box;  // for two tiles, of even and of odd owners
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);
    if (folder == 0 && lane == 0)
      ptx::ArriveExpect(Barrier(S::kJudged + slot.at), kTile * kVerdictFloats * 4);
    const float* partial = At<float>(S::kPartial) + from.at * S::kChunks * kTile * kSums;
    // Free since the verdict on the tile that had it before: without it, and those before it, which
    // collapsers take in order, this tile had no slot.
    static_assert(2 * S::kInboxes >= S::kSlots);
    const std::uint32_t inbox = base + S::kInbox + (box.at / 2 * kSlices + rank) * kSums * 4;
#pragma unroll
    for (int i = 0; i < kTile * kPieces; i += 32 * S::kFolders) {
      const int piece = i + folder * 32 + lane;
      if (piece >= kTile * kPieces) break;
      const float4 sum = Fold<S::kChunks>(partial, piece);
      const int owner = 2 * (piece / kPieces) + n % 2;
      ptx::StoreAsync(ptx::RemoteAddress(inbox + piece % kPieces * 16, owner),
                      {__float_as_uint(sum.x), __float_as_uint(sum.y), __float_as_uint(sum.z),
                       __float_as_uint(sum.w)},
                      ptx::RemoteAddress(Barrier(S::kArrived + box.at / 2), owner));
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFolded + from.at));
    slot.Next();
    from.Next();
    box.Next();
  }
}

template <int H>
__device__ void Block<H>::CollapseTiles(int collapser) const {
  const int column = rank * S::kChunks * kChunk + lane % 4 * 8;
  const int place = Place(0);
  constexpr int kAtOnce = S::kOtherRegisters < 56 ? 1 : S::kChunks;  // else they spill
  ptx::WaitForPrevious();
  Turn<S::kSlots> slot;
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);  // orders X' before what follows; it is there long before the verdict
    Wait(S::kJudged, slot);
    const float* verdict = At<float>(S::kVerdict) + (slot.at * kTile + lane / 4) * kVerdictFloats;
    const float4 p = *reinterpret_cast<const float4*>(verdict);
    const float pre[kHc] = {p.x, p.y, p.z, p.w};
    const float2 norm = *reinterpret_cast<const float2*>(verdict + 4);
    const int token = static_cast<int>(Token(n)) + lane / 4;
    const bool now = token < static_cast<int>(a.tokens) && norm.y == 0;
    std::uint16_t* h = a.h.bf16 + static_cast<std::int64_t>(token) * H + column;
    const auto* tile = At<const char>(S::kStreams + slot.at * S::kSlotBytes);
#pragma unroll kAtOnce
    for (int i = 0; i < S::kChunks; i += S::kCollapsers) {
      const int c = i + collapser;
      if (c >= S::kChunks) break;
      const char* from = tile + c / 2 * 128 + (place ^ c % 2 * 64);
      uint4 v[kHc];
#pragma unroll
      for (int j = 0; j < kHc; ++j) v[j] = *reinterpret_cast<const uint4*>(from + j * S::kStream);
      float weight[8];
      const auto* weights = At<const float4>(S::kWeight) + c * 8 + lane % 4 * 2;
      *reinterpret_cast<float4*>(weight) = weights[0];
      *reinterpret_cast<float4*>(weight + 4) = weights[1];
      const uint4 out = Collapse<kHc>(v, pre, norm.x, weight);
      if (now) ptx::Store(h + c * kChunk, out);
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFree + slot.at));
    slot.Next();
  }
}

// Four tokens' largest magnitudes in the half of a group that this block has, to the one with the
// other half, and what came from there. A place is free again: the other writes the next into it
// after a verdict that follows when this warp is done with the slot.
template <int H>
__device__ void Block<H>::TellLargest(int which, int other, float largest) const {
  const std::uint32_t barrier = Barrier(S::kLargestHere + which);
  if (lane == 0) ptx::ArriveExpect(barrier, kTile / 2 * 4);
  if (lane % 8 == 0)
    ptx::StoreAsync(ptx::RemoteAddress(base + S::kLargest + (which * 4 + lane / 8) * 4, other),
                    largest, ptx::RemoteAddress(barrier, other));
}
template <int H>
__device__ float Block<H>::HearLargest(int which, int phase) const {
  ptx::WaitBarrierOfBlock(Barrier(S::kLargestHere + which), phase);
  return *At<float>(S::kLargest + (which * 4 + lane / 8) * 4);
}

// h of 64 columns, a line, for the half of a tile that is four tokens. Lanes are those of
// PlaceInLine().
template <int H>
__device__ uint4 Block<H>::CollapseLine(int slot, int half, int line) const {
  const float* verdict =
      At<float>(S::kVerdict) + (slot * kTile + half * 4 + lane / 8) * kVerdictFloats;
  const float4 p = *reinterpret_cast<const float4*>(verdict);
  const float pre[kHc] = {p.x, p.y, p.z, p.w};
  const char* from = At<const char>(S::kStreams + slot * S::kSlotBytes) + PlaceInLine() +
                     half * 4 * S::kRow + line * 128;
  uint4 v[kHc];
#pragma unroll
  for (int j = 0; j < kHc; ++j) v[j] = *reinterpret_cast<const uint4*>(from + j * S::kStream);
  float weight[8];
  const auto* weights = At<const float4>(S::kWeight + (line * 64 + lane % 8 * 8) * 4);
  *reinterpret_cast<float4*>(weight) = weights[0];
  *reinterpret_cast<float4*>(weight + 4) = weights[1];
  return Collapse<kHc>(v, pre, verdict[4], weight);
}

// To FP8. Two lines are a group of 128. Where the slice has an odd number of them, one is half of a
// group that another block has too: the first of odd ranks, the last of even ones.
template <int H>
template <int kGroup>
__device__ void Block<H>::CollapseTilesToFp8(int collapser) const {
  constexpr int kLines = S::kChunks / 2;
  constexpr int kAtOnce = S::kOtherRegisters < 64 ? 1 : 2;  // else they spill
  const int odd = rank % 2;
  ptx::WaitForPrevious();
  Turn<S::kSlots> slot;
  for (int n = 0; n < count; ++n) {
    Wait(S::kSummed, slot);
    Wait(S::kJudged, slot);
    const int first = static_cast<int>(Token(n)) + lane / 8;
    const auto put = [&](int half, int line, const uint4& h, float largest) {
      const int token = first + half * 4;
      const bool late =
          At<float>(S::kVerdict)[(slot.at * kTile + half * 4 + lane / 8) * kVerdictFloats + 5] != 0;
      if (token >= static_cast<int>(a.tokens) || late) return;
      const int column = rank * S::kChunks * kChunk + line * 64 + lane % 8 * 8;
      const std::int64_t at = static_cast<std::int64_t>(token) * H + column;
      if (a.h.bf16 != nullptr) ptx::Store(a.h.bf16 + at, h);
      const float scale = fp8::ScaleOf(largest, a.h.fp8.format.scale);
      ptx::Store(static_cast<std::uint8_t*>(a.h.fp8.data) + at, ToE4m3(h, DivisorOf(scale)));
      if (column % kGroup == 0) fp8::PutScale(a.h.fp8, token, column / kGroup, scale);
    };
    if constexpr (kGroup == 32) {
#pragma unroll kAtOnce
      for (int i = 0; i < 2 * kLines; i += S::kCollapsers) {
        const int unit = i + collapser;
        if (2 * kLines % S::kCollapsers != 0 && unit >= 2 * kLines) break;
        const uint4 h = CollapseLine(slot.at, unit % 2, unit / 2);
        put(unit % 2, unit / 2, h, LargestOf<4>(LargestOf(h)));
      }
    } else {
      // The split group last, by who has least to do: nobody else waits for the other block.
      constexpr int kWhole = kLines / 2 * 2;  // units
#pragma unroll 1
      for (int unit = collapser; unit < kWhole + kLines % 2 * 2; unit += S::kCollapsers) {
        const int half = unit % 2;
        const bool split = unit >= kWhole;
        const int line = split ? (odd != 0 ? 0 : kLines - 1) : unit / 2 * 2 + kLines % 2 * odd;
        // Of the split group the second line is the first again: a branch costs more than that.
        const int step = split ? 0 : 1;
        const uint4 h[2] = {CollapseLine(slot.at, half, line),
                            CollapseLine(slot.at, half, line + step)};
        float largest = LargestOf<8>(fmaxf(LargestOf(h[0]), LargestOf(h[1])));
        if (split) {
          const int which = 2 * slot.at + half;
          TellLargest(which, odd != 0 ? rank - 1 : rank + 1, largest);
          largest = fmaxf(largest, HearLargest(which, slot.phase));
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) put(half, line + i * step, h[i], largest);
      }
    }
    __syncwarp();
    if (lane == 0) ptx::Arrive(Barrier(S::kFree + slot.at));
    slot.Next();
  }
}

// Own tokens whose norm must be summed column by column. After a barrier of the cluster, so that X'
// is there; where the ring was there is room now.
template <int H>
template <int kGroup>
__device__ void Block<H>::FinishLate() const {
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

template <int H, int kGroup>
__global__ void __launch_bounds__(Shape<H>::kThreads, 1)
    Boundary(const __grid_constant__ BoundaryArgs a) {
  using S = Shape<H>;
  // A block anew for each role: what all had in common would stay in registers throughout.
  Block<H>{a}.Start();
  if (threadIdx.x < S::kRich * 32) {
    ptx::TakeRegisters<S::kRichRegisters>();
    if (threadIdx.x < S::kBricks * 32) {
      Block<H>{a}.Bricks();
    } else {
      Block<H>{a}.template Serve<kGroup, 0, S::kRich - S::kBricks>();
    }
  } else {
    ptx::LeaveRegisters<S::kOtherRegisters>();
    Block<H>{a}.template Serve<kGroup, S::kRich - S::kBricks, S::kServices>();
  }
  __syncwarp();
  ptx::ClusterSync();  // nobody leaves while another may still write to it
  Block<H>{a}.template FinishLate<kGroup>();
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

int MostRingClusters(std::int64_t hidden) {
  int clusters = 0;
  WithHidden(hidden, [&]<int H>() { clusters = Allowed<H, false>(); });
  return clusters;
}

void EnqueueRing(const BoundaryArgs& a, std::int64_t clusters, cudaStream_t stream) {
  WithShape(a, [&]<int H, int kGroup>() {
    static_cast<void>(Allowed<H, kGroup>());
    kKernel<H, kGroup>.Enqueue(clusters, a, stream);
  });
}

}  // namespace birkhoff::cuda::sm90
