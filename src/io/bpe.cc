#include "io/bpe.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <utility>

namespace birkhoff::io {
namespace {

// Up to here scanning all ranks for every merge beats keeping queues.
constexpr std::size_t kShortPiece = 64;

// Positions are 32 bits wide; longer pieces are cut.
constexpr std::size_t kLongestPiece = std::size_t{1} << 30;

}  // namespace

Bpe::Bpe(const std::array<std::int32_t, 256>& byte_ids, std::vector<Merge> merges)
    : byte_ids_(byte_ids), merges_(std::move(merges)) {
  const std::size_t size = std::bit_ceil(2 * merges_.size() + 2);
  slots_.assign(size, {});
  hash_shift_ = 64 - std::countr_zero(size);
  for (std::size_t i = 0; i < merges_.size(); ++i) {
    const std::uint64_t pair = PairKey(merges_[i].left, merges_[i].right);
    const_cast<Slot&>(FindSlot(pair)) = {pair, static_cast<Rank>(i)};
  }
}

const Bpe::Slot& Bpe::FindSlot(std::uint64_t pair) const {
  std::size_t i = pair * 0x9E3779B97F4A7C15u >> hash_shift_;
  while (slots_[i].rank != kNoRank && slots_[i].pair != pair) i = (i + 1) & (slots_.size() - 1);
  return slots_[i];
}

void Bpe::Encode(std::string_view piece, std::vector<std::int32_t>* ids) const {
  while (piece.size() > kShortPiece) {
    EncodeLong(piece.substr(0, kLongestPiece), ids);
    piece.remove_prefix(std::min(piece.size(), kLongestPiece));
  }
  EncodeShort(piece, ids);
}

void Bpe::EncodeShort(std::string_view piece, std::vector<std::int32_t>* ids) const {
  std::array<std::int32_t, kShortPiece> tokens;
  std::array<Rank, kShortPiece> ranks;  // ranks[i]: of the pair (i, i + 1)
  std::size_t n = piece.size();
  for (std::size_t i = 0; i < n; ++i) tokens[i] = byte_ids_[static_cast<std::uint8_t>(piece[i])];
  for (std::size_t i = 0; i + 1 < n; ++i) ranks[i] = RankOf(tokens[i], tokens[i + 1]);
  while (n > 1) {
    const auto best = std::min_element(ranks.begin(), ranks.begin() + (n - 1));
    if (*best == kNoRank) break;
    const std::size_t i = best - ranks.begin();
    tokens[i] = merges_[*best].result;
    std::copy(tokens.begin() + i + 2, tokens.begin() + n, tokens.begin() + i + 1);
    std::copy(ranks.begin() + i + 1, ranks.begin() + (n - 1), ranks.begin() + i);
    --n;
    if (i > 0) ranks[i - 1] = RankOf(tokens[i - 1], tokens[i]);
    if (i + 1 < n) ranks[i] = RankOf(tokens[i], tokens[i + 1]);
  }
  ids->insert(ids->end(), tokens.begin(), tokens.begin() + n);
}

void Bpe::EncodeLong(std::string_view piece, std::vector<std::int32_t>* ids) const {
  struct Node {
    std::int32_t token = 0;
    Rank rank = kNoRank;  // of the pair with the next node
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  // The places of the pairs of one rank; those whose node has another rank by now are stale. A
  // merge makes longer tokens than those it takes, so that a queue that is being read does not grow
  // and is sorted once.
  struct Queue {
    std::vector<std::uint32_t> places = {};
    std::size_t done = 0;
    bool sorted = true;
  };
  const auto n = static_cast<std::uint32_t>(piece.size());
  std::vector<Node> nodes(n);
  std::map<Rank, Queue> queues;

  const auto update_rank = [&](std::uint32_t i) {
    Node& node = nodes[i];
    node.rank = node.next == n ? kNoRank : RankOf(node.token, nodes[node.next].token);
    if (node.rank == kNoRank) return;
    Queue& queue = queues[node.rank];
    if (!queue.places.empty() && i < queue.places.back()) queue.sorted = false;
    queue.places.push_back(i);
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    nodes[i] = {byte_ids_[static_cast<std::uint8_t>(piece[i])], kNoRank, i - 1, i + 1};
  }
  for (std::uint32_t i = 0; i < n; ++i) update_rank(i);

  while (!queues.empty()) {
    auto& [rank, queue] = *queues.begin();
    if (queue.done == queue.places.size()) {
      queues.erase(queues.begin());
      continue;
    }
    if (!std::exchange(queue.sorted, true)) {
      std::sort(queue.places.begin() + static_cast<std::ptrdiff_t>(queue.done), queue.places.end());
    }
    const std::uint32_t i = queue.places[queue.done++];
    if (nodes[i].rank != rank) continue;
    Node& gone = nodes[nodes[i].next];
    nodes[i].token = merges_[rank].result;
    nodes[i].next = gone.next;
    gone.rank = kNoRank;
    if (gone.next != n) nodes[gone.next].previous = i;
    update_rank(i);
    if (i > 0) update_rank(nodes[i].previous);
  }
  for (std::uint32_t i = 0; i < n; i = nodes[i].next) ids->push_back(nodes[i].token);
}

}  // namespace birkhoff::io
