// Attention of queries whose heads share keys in groups.
//
// A worker takes rows, heads of one key head for some tokens, and goes through their keys once,
// block by block: the keys of a block are widened into L1, then come all scores (rows beside each
// other, so that the softmax runs across rows), then the values take their place and are summed.
// Of the blocks at the end a token sees only a part.
// Bound by fused multiply-adds, H (D + Dv) per key and token; one token of few heads by memory.
#include "kernels/args/gqa_attention.h"

#include "base/thread_pool.h"
#include "kernels/cpu/attention_parts.h"
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/sequences.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

constexpr std::int64_t kBlock = 32;    // keys; the results depend on it
constexpr std::int64_t kMaxRows = 64;  // that a worker takes at once
constexpr float kLowest = -3.40282347e38f;

// How the work is divided, and the scratch of one worker in floats.
struct Layout {
  std::int64_t dim = 0;        // D up to a multiple of 16
  std::int64_t value_dim = 0;  // Dv up to a multiple of 16
  bool latent = false;
  std::int64_t heads = 0;   // of one key head that a worker takes at once
  std::int64_t parts = 0;   // of the heads of one key head
  std::int64_t tokens = 0;  // that a worker takes at once

  Layout(const GqaAttentionArgs& a, int threads)
      : dim(RoundUp(a.dim, 16)), value_dim(RoundUp(a.value_dim, 16)), latent(!a.values.data) {
    const std::int64_t group = a.heads / a.key_heads;
    const auto divide = [&](std::int64_t most) {
      parts = CeilDiv(group, most);
      heads = CeilDiv(group, parts);
    };
    divide(kMaxRows);
    tokens = kMaxRows / heads;
    // With few tokens the rows are divided further, so that every worker has something to do.
    while (tokens > 1 && Tasks(a) < 4 * threads) tokens = CeilDiv(tokens, 2);
    while (heads > kTileRows && Tasks(a) < threads) divide(RoundUp(heads / 2, kTileRows));
  }

  std::int64_t Tasks(const GqaAttentionArgs& a) const {
    return a.key_heads * parts * CeilDiv(a.tokens, tokens);
  }
  std::int64_t floats() const { return BlockFloats() + kMaxRows * (dim + value_dim + kBlock + 3); }
  std::int64_t BlockFloats() const { return kBlock * (dim > value_dim ? dim : value_dim); }
};

// Heads of one key head for consecutive tokens of a sequence, token by token, and what a worker
// knows of them after the keys so far. Rows up to a multiple of kTileRows are computed.
struct Rows {
  std::int64_t count = 0;
  std::int64_t heads = 0;     // of a token
  std::int64_t position = 0;  // of the first token
  std::int64_t dim = 0;       // row of q and of a key
  std::int64_t sums_row = 0;
  std::int64_t value_row = 0;
  float* block = nullptr;    // [kBlock, dim] keys, then [kBlock, value_row] values
  float* q = nullptr;        // [kMaxRows, dim]
  float* sums = nullptr;     // [kMaxRows, sums_row] num
  float* scores = nullptr;   // [kBlock, kMaxRows] of the block, then e
  float* top = nullptr;      // [kMaxRows] M
  float* total = nullptr;    // [kMaxRows] den
  float* factors = nullptr;  // [kMaxRows] of num, for the block

  Rows(const Layout& layout, float* scratch)
      : dim(layout.dim),
        sums_row(layout.value_dim),
        value_row(layout.latent ? layout.dim : layout.value_dim) {
    const auto take = [&](std::int64_t floats) { return (scratch += floats) - floats; };
    block = take(layout.BlockFloats());
    q = take(kMaxRows * dim);
    sums = take(kMaxRows * sums_row);
    scores = take(kBlock * kMaxRows);
    top = take(kMaxRows);
    total = take(kMaxRows);
    factors = take(kMaxRows);
  }

  // Rows that do not see a position: the first ones.
  std::int64_t Blind(std::int64_t p) const {
    return p <= position ? 0 : Least((p - position) * heads, count);
  }
  // Keys that a row sees of n from position p on.
  std::int64_t Seen(std::int64_t row, std::int64_t p, std::int64_t n) const {
    const std::int64_t seen = position + row / heads - p + 1;
    return seen < 0 ? 0 : Least(seen, n);
  }
};

// Scores of the n keys of a block from position p on become e; M and den advance.
void Softmax(const Rows& rows, float scale, std::int64_t p, std::int64_t n) {
  for (std::int64_t r = 0; r < rows.count; r += 16) {
    const F32x16 before = Load(rows.top + r);
    F32x16 top = before;
    for (std::int64_t k = 0; k < n; ++k) {
      float* scores = rows.scores + k * kMaxRows;
      F32x16 score = Mul(Load(scores + r), Set(scale));
      Store(scores + r, score);
      if (const std::int64_t blind = Least(rows.Blind(p + k), r + 16); blind > r) {
        for (std::int64_t i = r; i < blind; ++i) scores[i] = -HUGE_VALF;
        score = Load(scores + r);
      }
      top = Max(score, top);
    }
    const F32x16 factor = Exp(Sub(before, top));
    F32x16 total = Mul(Load(rows.total + r), factor);
    for (std::int64_t k = 0; k < n; ++k) {
      float* scores = rows.scores + k * kMaxRows + r;
      const F32x16 e = Exp(Sub(Load(scores), top));
      total = Add(total, e);
      Store(scores, e);
    }
    Store(rows.top + r, top);
    Store(rows.total + r, total);
    Store(rows.factors + r, factor);
  }
}

// num takes the values of the block.
void AddBlock(const Rows& rows, std::int64_t p, std::int64_t n) {
  for (std::int64_t r = 0; r < rows.count; ++r) {
    if (rows.factors[r] == 1.0f) continue;  // almost always: M rarely rises
    float* sums = rows.sums + r * rows.sums_row;
    for (std::int64_t i = 0; i < rows.sums_row; i += 16)
      Store(sums + i, Mul(Load(sums + i), Set(rows.factors[r])));
  }
  for (std::int64_t r = 0; r < rows.count; r += kSumRows) {
    const std::int64_t common = rows.Seen(r, p, n);  // by all of these rows
    float* sums = rows.sums + r * rows.sums_row;
    const FloatRows e = {rows.scores + r, kMaxRows};
    AddValues<kSumRows>(e, {rows.block, rows.value_row}, common, rows.sums_row, sums,
                        rows.sums_row);
    for (std::int64_t i = 1; i < Least(kSumRows, rows.count - r); ++i) {
      const std::int64_t more = rows.Seen(r + i, p, n) - common;
      if (more > 0)
        AddValues<1>({e.data + common * e.row + i, e.row},
                     {rows.block + common * rows.value_row, rows.value_row}, more, rows.sums_row,
                     sums + i * rows.sums_row, rows.sums_row);
    }
  }
}

// Widens channels [channel, channel + dim) of the state at the positions [p, p + n), and asks for
// those of the next block, whose rows are too far apart for the hardware to see them coming.
void WidenBlock(const StateRows& state, DType type, const Place& place, std::int64_t channel,
                std::int64_t dim, std::int64_t p, std::int64_t n, float* to, std::int64_t to_row) {
  const bool bf16 = type == DType::kBF16;
  const std::int64_t element = bf16 ? 2 : 4;
  const std::int64_t first = (place.slot * state.capacity + p) * state.width + channel;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t at = first + i * state.width;
    WidenRow(state.data, bf16, at, dim, to + i * to_row);
    if (p + i + kBlock >= state.capacity) continue;
    const char* next = static_cast<const char*>(state.data) + (at + kBlock * state.width) * element;
    for (std::int64_t byte = 0; byte < dim * element; byte += 64)
      __builtin_prefetch(next + byte, 0, 2);
  }
}

// Heads [head, head + heads) for consecutive tokens of a sequence.
void Attend(const GqaAttentionArgs& a, std::int64_t token, std::int64_t tokens, std::int64_t head,
            std::int64_t heads, const Layout& layout, float* scratch) {
  const bool bf16 = a.type == DType::kBF16;
  const std::int64_t key_head = head / (a.heads / a.key_heads);
  const Place place = Locate(a.batch, token);
  Rows rows(layout, scratch);
  rows.count = tokens * heads;
  rows.heads = heads;
  rows.position = place.position;
  const auto at = [&](std::int64_t r) { return (token + r / heads) * a.heads + head + r % heads; };
  for (std::int64_t r = 0; r < rows.count; ++r)
    WidenRow(a.q, bf16, at(r) * a.dim, a.dim, rows.q + r * rows.dim);
  const std::int64_t tiled = RoundUp(rows.count, kTileRows);
  for (std::int64_t i = 0; i < tiled * rows.sums_row; i += 16) Store(rows.sums + i, Zero());
  for (std::int64_t r = 0; r < rows.count; r += 16) {
    Store(rows.top + r, Set(kLowest));
    Store(rows.total + r, Zero());
  }

  const std::int64_t end = place.position + tokens;
  for (std::int64_t p = 0; p < end; p += kBlock) {
    const std::int64_t n = Least(kBlock, end - p);
    WidenBlock(a.keys, a.type, place, key_head * a.dim, a.dim, p, n, rows.block, rows.dim);
    DotTiles(rows.block, RoundUp(n, kTileRows), rows.q, tiled, rows.dim, rows.scores, kMaxRows);
    Softmax(rows, a.scale, p, n);
    if (!layout.latent)
      WidenBlock(a.values, a.type, place, key_head * a.value_dim, a.value_dim, p, n, rows.block,
                 rows.value_row);
    AddBlock(rows, p, n);
  }

  for (std::int64_t r = 0; r < rows.count; ++r)
    WriteSums(rows.sums + r * rows.sums_row, 1.0f / rows.total[r], a.value_dim, a.out, a.out_type,
              at(r) * a.value_dim);
}

}  // namespace

void GqaAttention(const GqaAttentionArgs& a, const Exec& exec) {
  const Layout layout(a, exec.pool->size());
  const std::int64_t group = a.heads / a.key_heads;
  const std::int64_t blocks = CeilDiv(a.tokens, layout.tokens);
  // All tokens of a key head before the next one: its keys stay in a cache.
  exec.pool->ParallelFor(
      layout.Tasks(a), 1, [&](std::int64_t first, std::int64_t last, int worker) {
        float* scratch = static_cast<float*>(exec.scratch) + worker * layout.floats();
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t part = i / blocks % layout.parts * layout.heads;
          const std::int64_t head = i / blocks / layout.parts * group + part;
          const std::int64_t heads = Least(layout.heads, group - part);
          const std::int64_t end = Least((i % blocks + 1) * layout.tokens, a.tokens);
          for (std::int64_t t = i % blocks * layout.tokens; t < end;) {
            const std::int64_t stop = Least(end, Locate(a.batch, t).end);
            Attend(a, t, stop - t, head, heads, layout, scratch);
            t = stop;
          }
        }
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t GqaAttentionScratch(const GqaAttentionArgs& a, int threads) {
  const std::int64_t floats = BK_ISA::Layout(a, threads).floats() * threads;
  return static_cast<std::size_t>(floats) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
