// Attention of one query against keys that all its heads share.
//
// A worker takes a token and a group of its heads. Keys are widened in blocks that stay in L1; all
// scores are computed first (heads beside each other, so that the softmax runs across heads), then
// the weighted sum of the same keys. Bound by fused multiply-adds: 2 H D per key.
#include "kernels/args/attention.h"

#include "base/thread_pool.h"
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

// One worker's scratch, in floats.
struct Layout {
  std::int64_t dim = 0;    // row of a query, a key or a sum: D up to a multiple of 16
  std::int64_t heads = 0;  // row of scores: H up to a multiple of 16
  std::int64_t keys = 0;

  explicit Layout(const AttentionArgs& a)
      : dim(RoundUp(a.dim, 16)),
        heads(RoundUp(a.heads, 16)),
        keys(RoundUp(a.window + Entries(a, a.max_entries), kBlock)) {}

  static std::int64_t Entries(const AttentionArgs& a, std::int64_t visible) {
    return a.topk > 0 && visible > a.topk ? a.topk : visible;
  }
  std::int64_t floats() const { return (2 * heads + kBlock) * dim + (keys + 1) * heads; }
};

// The keys of one query, numbered in the order of the contract.
struct Keys {
  const AttentionArgs* a = nullptr;
  Place place = {};
  std::int64_t entries = 0;
  std::int64_t first = 0;  // position of the first window key
  std::int64_t count = 0;
  const std::int32_t* selected = nullptr;

  Keys(const AttentionArgs& args, std::int64_t token) : a(&args), place(Locate(args.batch, token)) {
    if (args.ratio > 0) entries = Layout::Entries(args, (place.position + 1) / args.ratio);
    first = place.position < args.window ? 0 : place.position - args.window + 1;
    count = entries + place.position - first + 1;
    if (args.selected != nullptr) selected = args.selected + token * args.topk;
  }

  // Writes keys [i, i + n) as rows of f32.
  void Widen(std::int64_t i, std::int64_t n, const Layout& layout, float* rows) const {
    const bool bf16 = a->type == DType::kBF16;
    for (std::int64_t end = i + n; i < end; ++i, rows += layout.dim) {
      if (i < entries) {
        const std::int64_t w = selected != nullptr ? selected[i] : i;
        const std::int64_t row = place.slot * a->entries.capacity + w;
        WidenRow(a->entries.data, bf16, row * a->dim, a->dim, rows);
        continue;
      }
      const std::int64_t position = first + i - entries;
      if (position < place.past) {
        const std::int64_t row = RingRow(a->window_ring, place, position);
        WidenRow(a->window_ring.data, bf16, row * a->dim, a->dim, rows);
      } else {
        const std::int64_t row = place.begin + position - place.past;
        WidenRow(a->kv, bf16, row * a->dim, a->dim, rows);
      }
    }
  }
};

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

// sums[h, c] += sum over keys of p[key, h] * key[c] in key order, for kH heads and kC runs of 16
// channels.
template <int kH, int kC>
BK_INLINE void WeightedSum(const float* p, std::int64_t stride, const float* rows, std::int64_t n,
                           std::int64_t dim, float* sums) {
  F32x16 v[kH][kC];
  BK_UNROLL
  for (int h = 0; h < kH; ++h) {
    BK_UNROLL
    for (int c = 0; c < kC; ++c) v[h][c] = Load(sums + h * dim + 16 * c);
  }
  for (std::int64_t k = 0; k < n; ++k) {
    F32x16 x[kC];
    BK_UNROLL
    for (int c = 0; c < kC; ++c) x[c] = Load(rows + k * dim + 16 * c);
    BK_UNROLL
    for (int h = 0; h < kH; ++h) {
      const F32x16 e = Set(p[k * stride + h]);
      BK_UNROLL
      for (int c = 0; c < kC; ++c) v[h][c] = Fma(e, x[c], v[h][c]);
    }
  }
  BK_UNROLL
  for (int h = 0; h < kH; ++h) {
    BK_UNROLL
    for (int c = 0; c < kC; ++c) Store(sums + h * dim + 16 * c, v[h][c]);
  }
}

void AddBlock(const float* p, const Layout& layout, std::int64_t heads, const float* rows,
              std::int64_t n, float* sums) {
#if defined(__AVX512F__)
  constexpr int kH = 4;
  constexpr int kC = 4;
#else
  constexpr int kH = 2;
  constexpr int kC = 2;
#endif
  for (std::int64_t h = 0; h < heads; h += kH) {
    float* v = sums + h * layout.dim;
    std::int64_t c = 0;
    for (; c + 16 * kC <= layout.dim; c += 16 * kC)
      WeightedSum<kH, kC>(p + h, layout.heads, rows + c, n, layout.dim, v + c);
    for (; c < layout.dim; c += 16)
      WeightedSum<kH, 1>(p + h, layout.heads, rows + c, n, layout.dim, v + c);
  }
}

void WriteHead(const AttentionArgs& a, std::int64_t at, const float* v, float factor) {
  const bool bf16 = a.out_type == DType::kBF16;
  const F32x16 f = Set(factor);
  std::int64_t i = 0;
  for (; i + 16 <= a.dim; i += 16) StoreAs(a.out, bf16, at + i, Mul(Load(v + i), f));
  if (i < a.dim) StoreAsN(a.out, bf16, at + i, Mul(Load(v + i), f), static_cast<int>(a.dim - i));
}

// Heads [head, head + heads) of a token.
void Attend(const AttentionArgs& a, std::int64_t token, std::int64_t head, std::int64_t heads,
            const Layout& layout, float* scratch) {
  float* q = scratch;
  float* sums = q + layout.heads * layout.dim;
  float* rows = sums + layout.heads * layout.dim;
  float* factors = rows + kBlock * layout.dim;
  float* scores = factors + layout.heads;
  const std::int64_t tiled = RoundUp(heads, kTileRows);
  const std::int64_t at = (token * a.heads + head) * a.dim;
  for (std::int64_t h = 0; h < heads; ++h)
    WidenRow(a.q, a.type == DType::kBF16, at + h * a.dim, a.dim, q + h * layout.dim);

  const Keys keys(a, token);
  for (std::int64_t k = 0; k < keys.count; k += kBlock) {
    const std::int64_t n = keys.count - k < kBlock ? keys.count - k : kBlock;
    keys.Widen(k, n, layout, rows);
    DotTiles(rows, RoundUp(n, kTileRows), q, tiled, layout.dim, scores + k * layout.heads,
             layout.heads);
  }
  Softmax(a.sink + head, heads, a.scale, keys.count, layout.heads, scores, factors);

  for (std::int64_t i = 0; i < tiled * layout.dim; i += 16) Store(sums + i, Zero());
  for (std::int64_t k = 0; k < keys.count; k += kBlock) {
    const std::int64_t n = keys.count - k < kBlock ? keys.count - k : kBlock;
    keys.Widen(k, n, layout, rows);
    AddBlock(scores + k * layout.heads, layout, tiled, rows, n, sums);
  }
  for (std::int64_t h = 0; h < heads; ++h)
    WriteHead(a, at + h * a.dim, sums + h * layout.dim, factors[h]);
}

}  // namespace

void Attention(const AttentionArgs& a, const Exec& exec) {
  const Layout layout(a);
  // With few tokens the heads are divided too, so that every worker has something to do.
  const std::int64_t workers = exec.pool->size();
  const std::int64_t parts = a.tokens >= 4 * workers ? 1 : workers;
  const std::int64_t heads = RoundUp((a.heads + parts - 1) / parts, kTileRows);
  const std::int64_t groups = (a.heads + heads - 1) / heads;
  exec.pool->ParallelFor(
      a.tokens * groups, 1, [&](std::int64_t first, std::int64_t last, int worker) {
        float* scratch = static_cast<float*>(exec.scratch) + worker * layout.floats();
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t head = i % groups * heads;
          const std::int64_t n = a.heads - head < heads ? a.heads - head : heads;
          Attend(a, i / groups, head, n, layout, scratch);
        }
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t AttentionScratch(const AttentionArgs& a, int threads) {
  const std::int64_t floats = BK_ISA::Layout(a).floats() * threads;
  return static_cast<std::size_t>(floats) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
