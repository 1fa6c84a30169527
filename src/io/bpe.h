// Byte-pair merging: from the bytes of a piece to the ids of its tokens.
//
// A piece starts as one token per byte. Of all neighbouring pairs that have a merge, the one of
// lowest rank is merged, the leftmost first among equals, until no pair has one.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace birkhoff::io {

class Bpe {
 public:
  struct Merge {
    std::int32_t left = 0;
    std::int32_t right = 0;
    std::int32_t result = 0;
  };

  Bpe() = default;

  // `byte_ids` are the tokens of the single bytes. A merge's rank is its place in `merges`; of two
  // for one pair the later counts.
  Bpe(const std::array<std::int32_t, 256>& byte_ids, std::vector<Merge> merges);

  // Appends the ids of `piece`. O(n log n) time, about 30 bytes of memory per byte of a long piece.
  void Encode(std::string_view piece, std::vector<std::int32_t>* ids) const;

 private:
  using Rank = std::uint32_t;
  static constexpr Rank kNoRank = ~Rank{0};

  struct Slot {
    std::uint64_t pair = 0;
    Rank rank = kNoRank;  // kNoRank: empty
  };

  static std::uint64_t PairKey(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  const Slot& FindSlot(std::uint64_t pair) const;
  Rank RankOf(std::int32_t left, std::int32_t right) const {
    return FindSlot(PairKey(left, right)).rank;
  }

  void EncodeShort(std::string_view piece, std::vector<std::int32_t>* ids) const;
  void EncodeLong(std::string_view piece, std::vector<std::int32_t>* ids) const;

  std::array<std::int32_t, 256> byte_ids_ = {};
  std::vector<Merge> merges_ = {};
  // Open addressing over a power of two of slots, at most half of them used.
  std::vector<Slot> slots_ = std::vector<Slot>(2);
  int hash_shift_ = 63;
};

}  // namespace birkhoff::io
