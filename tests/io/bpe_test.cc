#include "io/bpe.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>

namespace birkhoff::io {
namespace {

std::array<std::int32_t, 256> ByteIds() {
  std::array<std::int32_t, 256> ids = {};
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// The definition, word for word.
std::vector<std::int32_t> MergeByDefinition(const std::vector<Bpe::Merge>& merges,
                                            std::string_view piece) {
  std::vector<std::int32_t> ids(piece.begin(), piece.end());
  for (bool merged = true; merged;) {
    merged = false;
    for (std::size_t rank = 0; rank < merges.size() && !merged; ++rank) {
      for (std::size_t i = 0; i + 1 < ids.size() && !merged; ++i) {
        if (ids[i] != merges[rank].left || ids[i + 1] != merges[rank].right) continue;
        ids[i] = merges[rank].result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = true;
      }
    }
  }
  return ids;
}

// Merges in random order, so that a merge may make a pair of lower rank than its own.
TEST(Bpe, FollowsTheDefinitionForShortAndLongPieces) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::int32_t>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    std::vector<Bpe::Merge> merges;
    std::vector<std::int32_t> tokens = {'a', 'b', 'c'};
    while (merges.size() < 12) {
      const Bpe::Merge merge = {tokens[below(tokens.size())], tokens[below(tokens.size())],
                                static_cast<std::int32_t>(300 + merges.size())};
      bool known = false;
      for (const Bpe::Merge& m : merges) known |= m.left == merge.left && m.right == merge.right;
      if (known) continue;
      merges.push_back(merge);
      tokens.push_back(merge.result);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const Bpe bpe(ByteIds(), merges);
    for (const std::size_t size : {0, 1, 2, 7, 63, 64, 65, 150}) {
      std::string piece(size, 'a');
      for (char& c : piece) c = static_cast<char>('a' + below(3));
      std::vector<std::int32_t> ids;
      bpe.Encode(piece, &ids);
      ASSERT_EQ(ids, MergeByDefinition(merges, piece)) << "round " << round << ": " << piece;
    }
  }
}

TEST(Bpe, LaterMergeOfAPairCounts) {
  const Bpe bpe(ByteIds(), {{'a', 'b', 300}, {'b', 'c', 301}, {'a', 'b', 302}});
  std::vector<std::int32_t> ids;
  bpe.Encode("abc", &ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{'a', 301}));
}

}  // namespace
}  // namespace birkhoff::io
