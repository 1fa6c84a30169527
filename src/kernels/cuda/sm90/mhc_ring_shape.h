// What lies where in a block of mhc_boundary_ring.cu, how many warps and registers do what, and
// what blocks of a group tell each other.
#pragma once

#include "kernels/cuda/sm90/mhc_boundary.h"

namespace birkhoff::cuda::sm90 {

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
  std::uint64_t largest[kTurns][kSlices][kTile];  // of half a group of FP8, above the tile
  unsigned tiles;                                 // that the group has seen in all launches
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
  // Of the tiles in the slots; of groups what each collapser heard last.
  static constexpr int kVerdictBytes =
      (kClusters ? kSlots : kCollapsers) * kTile * kVerdictFloats * 4;
  static constexpr int kWeight = kVerdict + kVerdictBytes;
  static constexpr int kTotals = kWeight + kRow * 2;
  static constexpr int kLogit = kTotals + kSums * 4;
  static constexpr int kLate = kLogit + kBatch * kLogits * 4;  // a bit for each own token
  static constexpr int kAnyLate = kLate + kMostOwn / 8;
  static constexpr int kNumber = kAnyLate + 4;  // of tiles before this launch
  // Of half a group of FP8, from the other half: [slot][token].
  static constexpr int kLargest = kNumber + 4;
  static constexpr int kLargestBytes = kClusters ? kSlots * kTile * 4 : 0;
  static constexpr int kBarriers = (kLargest + kLargestBytes + 7) / 8 * 8;
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
  static constexpr int kArrived = kJudged + kSlots;         // + own token % kInboxes
  static constexpr int kLargestHere = kArrived + kInboxes;  // + 2 (n % kSlots) + half of the tile
  static constexpr int kBarrierCount = kClusters ? kLargestHere + 2 * kSlots : kJudged;
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
// The same of an address, to which constants are then added in the instruction.
template <class T>
__device__ inline T* Opaque(T* p) {
  asm volatile("" : "+l"(p));
  return p;
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

}  // namespace birkhoff::cuda::sm90
