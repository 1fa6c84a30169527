// The indexer: scores of all visible entries, then the exact top k.
//
// With many tokens a worker takes a token; with few, the entries of each token are divided. Bound
// by fused multiply-adds: Hi Di per entry; the selection reads the scores five times.
#include "base/thread_pool.h"
#include "kernels/args/attention.h"
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/sequences.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

constexpr std::int64_t kBlock = 16;  // entries scored at a time, one to a lane
constexpr int kDigitBits = 8;        // few enough that short lists do not pay for the counts
constexpr std::uint32_t kDigits = 1u << kDigitBits;

// One worker's scratch, in words of four bytes.
struct Layout {
  std::int64_t dim = 0;
  std::int64_t heads = 0;
  std::int64_t entries = 0;

  explicit Layout(const IndexTopkArgs& a)
      : dim(RoundUp(a.dim, 16)),
        heads(RoundUp(a.heads, 16)),
        entries(RoundUp(a.max_entries, kBlock)) {}

  std::int64_t words() const {
    return (heads + kBlock) * dim + heads * (kBlock + 1) + entries + kDigits;
  }
};

struct Scratch {
  float* q = nullptr;               // [heads, dim]
  float* keys = nullptr;            // [kBlock, dim]
  float* dots = nullptr;            // [heads, kBlock]
  float* weight = nullptr;          // [heads], times scale
  std::uint32_t* ranks = nullptr;   // [entries]
  std::uint32_t* counts = nullptr;  // [kDigits]

  Scratch(const Layout& layout, void* base, std::int64_t worker)
      : q(static_cast<float*>(base) + worker * layout.words()),
        keys(q + layout.heads * layout.dim),
        dots(keys + kBlock * layout.dim),
        weight(dots + layout.heads * kBlock),
        ranks(reinterpret_cast<std::uint32_t*>(weight + layout.heads)),
        counts(ranks + layout.entries) {}
};

// An integer that is larger for a better score; 0 for NaN, and -0 as +0.
BK_INLINE std::uint32_t Rank(float score) {
  const float x = score + 0.0f;
  std::uint32_t u;
  std::memcpy(&u, &x, sizeof(u));
  if (x != x) return 0;
  return (u & 0x80000000u) != 0 ? ~u : u | 0x80000000u;
}

// ranks[w] for the entries [first, last) of the place of token t.
void RankEntries(const IndexTopkArgs& a, std::int64_t t, const Place& place, std::int64_t first,
                 std::int64_t last, const Layout& layout, const Scratch& s, std::uint32_t* ranks) {
  const bool bf16 = a.type == DType::kBF16;
  for (std::int64_t h = 0; h < a.heads; ++h) {
    WidenRow(a.q, bf16, (t * a.heads + h) * a.dim, a.dim, s.q + h * layout.dim);
    s.weight[h] = a.weight[t * a.heads + h] * a.scale;
  }
  for (std::int64_t w = first; w < last; w += kBlock) {
    const std::int64_t n = last - w < kBlock ? last - w : kBlock;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = place.slot * a.keys.capacity + w + i;
      WidenRow(a.keys.data, bf16, row * a.dim, a.dim, s.keys + i * layout.dim);
    }
    DotTiles(s.q, RoundUp(a.heads, kTileRows), s.keys, RoundUp(n, kTileRows), layout.dim, s.dots,
             kBlock);
    F32x16 sum = Zero();
    for (std::int64_t h = 0; h < a.heads; ++h) {
      const F32x16 relu = Max(Zero(), Load(s.dots + h * kBlock));  // keeps a NaN
      sum = Fma(Set(s.weight[h]), relu, sum);
    }
    float scores[kBlock];
    Store(scores, sum);
    for (std::int64_t i = 0; i < n; ++i) ranks[w + i] = Rank(scores[i]);
  }
}

// The k-th largest of n ranks, and in *ties how many equal to it belong to the k largest: each pass
// fixes a digit, highest first.
std::uint32_t KthLargest(const std::uint32_t* ranks, std::int64_t n, std::int64_t k,
                         std::uint32_t* counts, std::int64_t* ties) {
  std::uint32_t prefix = 0;  // the digits fixed so far
  std::uint32_t mask = 0;    // and where they are
  for (int shift = 32 - kDigitBits; shift >= 0; shift -= kDigitBits) {
    std::memset(counts, 0, kDigits * sizeof(*counts));
    for (std::int64_t i = 0; i < n; ++i) {
      if ((ranks[i] & mask) == prefix) ++counts[(ranks[i] >> shift) % kDigits];
    }
    std::uint32_t digit = kDigits - 1;
    for (; counts[digit] < k; --digit) k -= counts[digit];
    prefix |= digit << shift;
    mask = ~std::uint32_t{0} << shift;
  }
  *ties = k;
  return prefix;
}

// The entries of the topk < visible best ranks. No branch depends on a rank: they are random.
void Choose(const std::uint32_t* ranks, std::int64_t visible, std::int64_t topk,
            std::uint32_t* counts, std::int32_t* selected) {
  std::int64_t ties = 0;
  const std::uint32_t last = KthLargest(ranks, visible, topk, counts, &ties);
  std::int64_t n = 0;
  for (std::int64_t w = 0; n < topk; ++w) {
    selected[n] = static_cast<std::int32_t>(w);
    const bool tie = ranks[w] == last;
    n += static_cast<int>(ranks[w] > last) | (static_cast<int>(tie) & static_cast<int>(ties > 0));
    ties -= static_cast<int>(tie);
  }
}

}  // namespace

void IndexTopk(const IndexTopkArgs& a, const Exec& exec) {
  const Layout layout(a);
  // Entries of a piece: two million multiply-adds, about 30 us.
  const std::int64_t piece = RoundUp((std::int64_t{1} << 21) / (a.heads * a.dim), kBlock);
  const bool divide_entries = a.tokens < 4 * exec.pool->size();
  const auto token = [&](std::int64_t t, int worker) {
    const Place place = Locate(a.batch, t);
    const std::int64_t visible = (place.position + 1) / a.ratio;
    std::int32_t* selected = a.selected + t * a.topk;
    if (visible <= a.topk) {
      for (std::int64_t w = 0; w < visible; ++w) selected[w] = static_cast<std::int32_t>(w);
      return;
    }
    const Scratch own(layout, exec.scratch, worker);
    if (divide_entries) {
      exec.pool->ParallelFor(visible, piece,
                             [&](std::int64_t first, std::int64_t last, int helper) {
                               RankEntries(a, t, place, first, last, layout,
                                           Scratch(layout, exec.scratch, helper), own.ranks);
                             });
    } else {
      RankEntries(a, t, place, 0, visible, layout, own, own.ranks);
    }
    Choose(own.ranks, visible, a.topk, own.counts, selected);
  };
  if (divide_entries) {
    for (std::int64_t t = 0; t < a.tokens; ++t) token(t, 0);
    return;
  }
  exec.pool->ParallelFor(a.tokens, 1, [&](std::int64_t first, std::int64_t last, int worker) {
    for (std::int64_t t = first; t < last; ++t) token(t, worker);
  });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t IndexTopkScratch(const IndexTopkArgs& a, int threads) {
  const std::int64_t words = BK_ISA::Layout(a).words() * threads;
  return static_cast<std::size_t>(words) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
