// Attention of queries against keys that all their heads share.
//
// A worker takes some tokens and a group of their heads. Keys are widened in blocks that stay in
// L1, those that the tokens share once for all of them; all scores are computed first (heads beside
// each other, so that the softmax runs across heads), then the weighted sums of the same keys.
// Bound by fused multiply-adds: 2 H D per key and token.
#include "kernels/args/attention.h"

#include "base/thread_pool.h"
#include "kernels/cpu/attention_parts.h"
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/sequences.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

// Keys widened at a time: 32 KiB at D = 512. At H = 64, D = 512 on a Xeon with 48 KiB of L1, 8 and
// 32 are 3 to 8 % slower.
constexpr std::int64_t kBlock = 16;

constexpr std::int64_t kMaxTokens = 8;          // that a worker takes at once
constexpr std::int64_t kTokenFloats = 1 << 16;  // of scratch for all of them: 256 KiB of L2

// One worker's scratch, in floats.
struct Layout {
  std::int64_t dim = 0;     // row of a query, a key or a sum: D up to a multiple of 16
  std::int64_t heads = 0;   // row of scores: H up to a multiple of 16
  std::int64_t keys = 0;    // rows of scores, with those that the last tile has too many
  std::int64_t most = 1;    // tokens at once
  std::int64_t tokens = 1;  // of this step

  Layout(const AttentionArgs& a, int threads)
      : dim(RoundUp(a.dim, 16)),
        heads(RoundUp(a.heads, 16)),
        keys(a.window + Entries(a, a.max_entries) + kTileRows) {
    // Scratch for as many as fit, whatever the step and the number of threads.
    most = Least(kTokenFloats / PerToken(), kMaxTokens);
    if (most < 1) most = 1;
    tokens = Least(most, a.tokens / (4 * threads));
    if (tokens < 1) tokens = 1;
  }

  static std::int64_t Entries(const AttentionArgs& a, std::int64_t visible) {
    return a.topk > 0 && visible > a.topk ? a.topk : visible;
  }
  std::int64_t PerToken() const { return 2 * heads * dim + (keys + 1) * heads; }
  std::int64_t KeyBlock() const { return (kBlock + kTileRows) * dim; }
  std::int64_t floats() const { return KeyBlock() + most * PerToken(); }
};

// One token's part of the scratch and its keys: entries first, then the window in ascending order.
struct Query {
  std::int64_t token = 0;
  Place place = {};
  std::int64_t entries = 0;
  std::int64_t first = 0;    // position of the first window key
  float* q = nullptr;        // [heads, dim]
  float* sums = nullptr;     // [heads, dim]
  float* factors = nullptr;  // [heads]
  float* scores = nullptr;   // [keys, heads]

  std::int64_t keys() const { return entries + place.position - first + 1; }
};

Query MakeQuery(const AttentionArgs& a, std::int64_t token, const Layout& layout, float* scratch) {
  Query query;
  query.token = token;
  query.place = Locate(a.batch, token);
  const std::int64_t position = query.place.position;
  if (a.ratio > 0) query.entries = Layout::Entries(a, (position + 1) / a.ratio);
  query.first = position < a.window ? 0 : position - a.window + 1;
  query.q = scratch;
  query.sums = query.q + layout.heads * layout.dim;
  query.factors = query.sums + layout.heads * layout.dim;
  query.scores = query.factors + layout.heads;
  return query;
}

// Calls f(query, key, n, rows) for blocks of n keys of a query, `key` the number of the first of
// them, in ascending order for each query. The queries are consecutive ones of a sequence.
template <class F>
void ForKeys(const AttentionArgs& a, const Layout& layout, const Query* queries, std::int64_t count,
             float* rows, F f) {
  const bool bf16 = a.type == DType::kBF16;
  const auto widen_entry = [&](const Query& query, std::int64_t w, float* row) {
    const std::int64_t at = query.place.slot * a.entries.capacity + w;
    WidenRow(a.entries.data, bf16, at * a.dim, a.dim, row);
  };
  const Query& last = queries[count - 1];
  if (a.selected != nullptr) {
    for (const Query* query = queries; query <= &last; ++query) {
      const std::int32_t* selected = a.selected + query->token * a.topk;
      for (std::int64_t k = 0; k < query->entries; k += kBlock) {
        const std::int64_t n = Least(kBlock, query->entries - k);
        for (std::int64_t i = 0; i < n; ++i)
          widen_entry(*query, selected[k + i], rows + i * layout.dim);
        f(*query, k, n, rows);
      }
    }
  } else {
    for (std::int64_t k = 0; k < last.entries; k += kBlock) {
      for (std::int64_t i = 0; i < Least(kBlock, last.entries - k); ++i)
        widen_entry(last, k + i, rows + i * layout.dim);
      for (const Query* query = queries; query <= &last; ++query) {
        if (k < query->entries) f(*query, k, Least(kBlock, query->entries - k), rows);
      }
    }
  }
  for (std::int64_t p = queries->first; p <= last.place.position; p += kBlock) {
    const std::int64_t end = Least(p + kBlock, last.place.position + 1);
    for (std::int64_t i = p; i < end; ++i) {
      const bool past = i < last.place.past;
      const std::int64_t at =
          past ? RingRow(a.window_ring, last.place, i) : last.place.begin + i - last.place.past;
      WidenRow(past ? a.window_ring.data : a.kv, bf16, at * a.dim, a.dim,
               rows + (i - p) * layout.dim);
    }
    for (const Query* query = queries; query <= &last; ++query) {
      const std::int64_t from = p < query->first ? query->first : p;
      const std::int64_t to = Least(end, query->place.position + 1);
      if (from < to)
        f(*query, query->entries + from - query->first, to - from, rows + (from - p) * layout.dim);
    }
  }
}

// scores[key, head] becomes exp(scale * score - M); factors[head] is what normalises their sum.
void Softmax(const float* sink, std::int64_t heads, float scale, std::int64_t keys,
             std::int64_t stride, float* scores, float* factors) {
  for (std::int64_t h = 0; h < heads; h += 16) {
    const F32x16 s = LoadN(sink + h, heads - h < 16 ? static_cast<int>(heads - h) : 16);
    F32x16 top = s;
    for (std::int64_t k = 0; k < keys; ++k) {
      float* row = scores + k * stride + h;
      const F32x16 score = Mul(Load(row), Set(scale));
      top = Max(score, top);
      Store(row, score);
    }
    F32x16 sum = Zero();
    for (std::int64_t k = 0; k < keys; ++k) {
      float* row = scores + k * stride + h;
      const F32x16 e = Exp(Sub(Load(row), top));
      sum = Add(sum, e);
      Store(row, e);
    }
    Store(factors + h, Div(Set(1.0f), Add(sum, Exp(Sub(s, top)))));
  }
}

// sums[h, c] += sum over n keys of p[key, h] * key[c] in key order.
void AddBlock(const float* p, const Layout& layout, std::int64_t heads, const float* rows,
              std::int64_t n, float* sums) {
  for (std::int64_t h = 0; h < heads; h += kSumRows)
    AddValues<kSumRows>({p + h, layout.heads}, {rows, layout.dim}, n, layout.dim,
                        sums + h * layout.dim, layout.dim);
}

// Heads [head, head + heads) of consecutive tokens of a sequence.
void Attend(const AttentionArgs& a, std::int64_t token, std::int64_t tokens, std::int64_t head,
            std::int64_t heads, const Layout& layout, float* scratch) {
  const std::int64_t tiled = RoundUp(heads, kTileRows);
  Query queries[kMaxTokens];
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* own = scratch + layout.KeyBlock() + t * layout.PerToken();
    queries[t] = MakeQuery(a, token + t, layout, own);
    const std::int64_t at = ((token + t) * a.heads + head) * a.dim;
    for (std::int64_t h = 0; h < heads; ++h)
      WidenRow(a.q, a.type == DType::kBF16, at + h * a.dim, a.dim, own + h * layout.dim);
  }
  ForKeys(a, layout, queries, tokens, scratch,
          [&](const Query& query, std::int64_t key, std::int64_t n, const float* rows) {
            DotTiles(rows, RoundUp(n, kTileRows), query.q, tiled, layout.dim,
                     query.scores + key * layout.heads, layout.heads);
          });
  for (std::int64_t t = 0; t < tokens; ++t) {
    const Query& query = queries[t];
    Softmax(a.sink + head, heads, a.scale, query.keys(), layout.heads, query.scores, query.factors);
    for (std::int64_t i = 0; i < tiled * layout.dim; i += 16) Store(query.sums + i, Zero());
  }
  ForKeys(a, layout, queries, tokens, scratch,
          [&](const Query& query, std::int64_t key, std::int64_t n, const float* rows) {
            AddBlock(query.scores + key * layout.heads, layout, tiled, rows, n, query.sums);
          });
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t at = ((token + t) * a.heads + head) * a.dim;
    for (std::int64_t h = 0; h < heads; ++h)
      WriteSums(queries[t].sums + h * layout.dim, queries[t].factors[h], a.dim, a.out, a.out_type,
                at + h * a.dim);
  }
}

}  // namespace

void Attention(const AttentionArgs& a, const Exec& exec) {
  // With few tokens the heads are divided too, so that every worker has something to do.
  const std::int64_t workers = exec.pool->size();
  const Layout layout(a, exec.pool->size());
  const std::int64_t parts = a.tokens >= 4 * workers ? 1 : workers;
  const std::int64_t heads = RoundUp((a.heads + parts - 1) / parts, kTileRows);
  const std::int64_t groups = (a.heads + heads - 1) / heads;
  const std::int64_t blocks = CeilDiv(a.tokens, layout.tokens);
  exec.pool->ParallelFor(
      blocks * groups, 1, [&](std::int64_t first, std::int64_t last, int worker) {
        float* scratch = static_cast<float*>(exec.scratch) + worker * layout.floats();
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t head = i % groups * heads;
          const std::int64_t n = Least(heads, a.heads - head);
          const std::int64_t end = Least((i / groups + 1) * layout.tokens, a.tokens);
          for (std::int64_t t = i / groups * layout.tokens; t < end;) {
            const std::int64_t stop = Least(end, Locate(a.batch, t).end);
            Attend(a, t, stop - t, head, n, layout, scratch);
            t = stop;
          }
        }
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t AttentionScratch(const AttentionArgs& a, int threads) {
  const std::int64_t floats = BK_ISA::Layout(a, threads).floats() * threads;
  return static_cast<std::size_t>(floats) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
