// Experts: the slots of a chunk of tokens are sorted by expert, so that each expert that is asked
// reads its weights once for all who ask it. Three passes over the threads: hidden rows of every
// slot, outputs of every slot, sums over the slots of a token.
#include "base/thread_pool.h"
#include "kernels/args/moe.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

constexpr std::int64_t kMaxTokens = 512;  // of a chunk: bounds the scratch

// Where things lie in the scratch of a chunk, in bytes.
struct Layout {
  std::int64_t tokens = 0;   // of a chunk
  std::int64_t begin = 0;    // i32 [E + 1]: slots of expert e are order[begin[e], begin[e + 1])
  std::int64_t active = 0;   // i32 [E]: experts that somebody asks
  std::int64_t order = 0;    // i32 [tokens k]: slots t k + i by expert, ascending
  std::int64_t token = 0;    // i32 [tokens k]: their tokens t
  std::int64_t hidden = 0;   // type [tokens k, I], by slot
  std::int64_t answer = 0;   // f32 [tokens k, d], by slot
  std::int64_t workers = 0;  // per worker: gate and up f32 [rows, kMaxOutputs], Multiply's scratch
  std::int64_t panel = 0;    // bytes of gate
  std::int64_t per_worker = 0;

  explicit Layout(const ExpertsArgs& a) : tokens(Least(a.tokens, kMaxTokens)) {
    const std::int64_t slots = tokens * a.k;
    const std::int64_t rows = Least(slots, kMaxRows);
    const auto first =
        static_cast<std::int64_t>(MultiplyScratch({.rows = rows, .width = a.hidden(), .parts = 2}));
    const auto second =
        static_cast<std::int64_t>(MultiplyScratch({.rows = rows, .width = a.width()}));
    std::int64_t end = 0;
    const auto take = [&end](std::int64_t bytes) {
      const std::int64_t at = end;
      end += CeilDiv(bytes, 64) * 64;
      return at;
    };
    begin = take((a.experts + 1) * 4);
    active = take(a.experts * 4);
    order = take(slots * 4);
    token = take(slots * 4);
    hidden = take(slots * a.width() * (a.type == DType::kBF16 ? 2 : 4));
    answer = take(slots * a.hidden() * 4);
    workers = end;
    panel = CeilDiv(rows * kMaxOutputs * 4, 64) * 64;
    per_worker = 2 * panel + (first > second ? first : second);
  }
};

// A chunk of tokens and its scratch.
struct Chunk {
  const ExpertsArgs& a;
  const Layout& layout;
  char* scratch;
  std::int64_t first;  // token
  std::int64_t tokens;

  template <class T>
  T* At(std::int64_t offset) const {
    return reinterpret_cast<T*>(scratch + offset);
  }
  char* Worker(int worker) const { return scratch + layout.workers + worker * layout.per_worker; }
};

// Fills begin, active, order and token; returns how many experts are active.
std::int64_t SortSlots(const Chunk& c) {
  auto* begin = c.At<std::int32_t>(c.layout.begin);
  auto* active = c.At<std::int32_t>(c.layout.active);
  auto* order = c.At<std::int32_t>(c.layout.order);
  auto* token = c.At<std::int32_t>(c.layout.token);
  const std::int32_t* expert = c.a.expert + c.first * c.a.k;
  const std::int64_t slots = c.tokens * c.a.k;
  for (std::int64_t e = 0; e <= c.a.experts; ++e) begin[e] = 0;
  for (std::int64_t s = 0; s < slots; ++s) ++begin[expert[s] + 1];
  std::int64_t count = 0;
  for (std::int32_t e = 0; e < c.a.experts; ++e) {
    if (begin[e + 1] > 0) active[count++] = e;
    begin[e + 1] += begin[e];
  }
  // Placing moves begin[e] to the end of e's slots, which is where those of e + 1 begin.
  for (std::int64_t s = 0; s < slots; ++s) {
    const std::int32_t at = begin[expert[s]]++;
    order[at] = static_cast<std::int32_t>(s);
    token[at] = static_cast<std::int32_t>(s / c.a.k);
  }
  for (std::int64_t e = c.a.experts; e > 0; --e) begin[e] = begin[e - 1];
  begin[0] = 0;
  return count;
}

// hidden = round(swiglu(gate, up) * weight) for n columns of one slot.
void StoreHidden(const ExpertsArgs& a, const float* gate, const float* up, float weight,
                 std::int64_t n, void* hidden, std::int64_t at) {
  const bool bf16 = a.type == DType::kBF16;
  const F32x16 limit = Set(a.limit);
  for (std::int64_t j = 0; j < n; j += 16) {
    F32x16 g = Load(gate + j);
    F32x16 u = Load(up + j);
    g = Min(limit, g);  // a NaN stays: it is the second operand
    u = Max(Sub(Zero(), limit), Min(limit, u));
    const F32x16 h = Mul(Mul(Mul(g, Sigmoid(g)), u), Set(weight));
    if (n - j >= 16) {
      StoreAs(hidden, bf16, at + j, h);
    } else {
      StoreAsN(hidden, bf16, at + j, h, static_cast<int>(n - j));
    }
  }
}

// Columns [n0, n0 + n) of the hidden rows of one expert.
void HiddenPiece(const Chunk& c, std::int32_t e, std::int64_t n0, std::int64_t n, char* scratch) {
  const ExpertsArgs& a = c.a;
  const auto* begin = c.At<std::int32_t>(c.layout.begin);
  const auto* order = c.At<std::int32_t>(c.layout.order);
  auto* gate = reinterpret_cast<float*>(scratch);
  auto* up = reinterpret_cast<float*>(scratch + c.layout.panel);
  char* rest = scratch + 2 * c.layout.panel;
  for (std::int64_t s0 = begin[e]; s0 < begin[e + 1]; s0 += kMaxRows) {
    Rows x;
    x.is_bf16 = a.type == DType::kBF16;
    x.data = static_cast<const char*>(a.x) + c.first * a.hidden() * (x.is_bf16 ? 2 : 4);
    x.index = c.At<std::int32_t>(c.layout.token) + s0;
    x.stride = a.hidden();
    x.count = Least(kMaxRows, begin[e + 1] - s0);
    const Outputs outputs[] = {{&a.w1[e], n0, n, gate}, {&a.w3[e], n0, n, up}};
    Multiply(x, outputs, 2, rest);
    for (std::int64_t i = 0; i < x.count; ++i) {
      const std::int64_t slot = order[s0 + i];
      StoreHidden(a, gate + i * kMaxOutputs, up + i * kMaxOutputs, a.weight[c.first * a.k + slot],
                  n, c.At<void>(c.layout.hidden), slot * a.width() + n0);
    }
  }
}

// Columns [n0, n0 + n) of the answers of one expert.
void AnswerPiece(const Chunk& c, std::int32_t e, std::int64_t n0, std::int64_t n, char* scratch) {
  const ExpertsArgs& a = c.a;
  const auto* begin = c.At<std::int32_t>(c.layout.begin);
  auto* y = reinterpret_cast<float*>(scratch);
  for (std::int64_t s0 = begin[e]; s0 < begin[e + 1]; s0 += kMaxRows) {
    Rows h;
    h.is_bf16 = a.type == DType::kBF16;
    h.data = c.At<void>(c.layout.hidden);
    h.index = c.At<std::int32_t>(c.layout.order) + s0;
    h.stride = a.width();
    h.count = Least(kMaxRows, begin[e + 1] - s0);
    const Outputs outputs = {&a.w2[e], n0, n, y};
    Multiply(h, &outputs, 1, scratch + 2 * c.layout.panel);
    for (std::int64_t i = 0; i < h.count; ++i) {
      std::memcpy(c.At<float>(c.layout.answer) + h.index[i] * a.hidden() + n0, y + i * kMaxOutputs,
                  static_cast<std::size_t>(n) * 4);
    }
  }
}

void SumSlots(const Chunk& c, std::int64_t t) {
  const std::int64_t d = c.a.hidden();
  const float* answer = c.At<float>(c.layout.answer) + t * c.a.k * d;
  float* out = c.a.out + (c.first + t) * d;
  std::int64_t j = 0;
  for (; j + 16 <= d; j += 16) {
    F32x16 sum = Load(answer + j);
    for (std::int64_t i = 1; i < c.a.k; ++i) sum = Add(sum, Load(answer + i * d + j));
    Store(out + j, sum);
  }
  if (const int n = static_cast<int>(d - j); n > 0) {
    F32x16 sum = LoadN(answer + j, n);
    for (std::int64_t i = 1; i < c.a.k; ++i) sum = Add(sum, LoadN(answer + i * d + j, n));
    StoreN(out + j, sum, n);
  }
}

void RunChunk(const Chunk& c, ThreadPool& pool) {
  const std::int64_t count = SortSlots(c);
  const auto* active = c.At<std::int32_t>(c.layout.active);
  const std::int64_t asking = c.tokens * c.a.k / count;  // slots of an expert on average
  const auto for_pieces = [&](std::int64_t rows, std::int64_t width, int parts, auto body) {
    const std::int64_t n = PieceOutputs({rows, count, asking, width, parts}, pool.size());
    const std::int64_t pieces = CeilDiv(rows, n);
    const std::int64_t grain = 1 + 65536 / (n * width);  // about 4 us of work
    pool.ParallelFor(count * pieces, grain, [&](std::int64_t b, std::int64_t e, int worker) {
      for (std::int64_t p = b; p < e; ++p) {
        const std::int64_t n0 = p % pieces * n;
        body(c, active[p / pieces], n0, Least(n, rows - n0), c.Worker(worker));
      }
    });
  };
  for_pieces(c.a.width(), c.a.hidden(), 2, HiddenPiece);
  for_pieces(c.a.hidden(), c.a.width(), 1, AnswerPiece);
  pool.ParallelFor(c.tokens, 1 + 16384 / (c.a.k * c.a.hidden()),
                   [&](std::int64_t b, std::int64_t e, int) {
                     for (std::int64_t t = b; t < e; ++t) SumSlots(c, t);
                   });
}

}  // namespace

void Experts(const ExpertsArgs& a, const Exec& exec) {
  const Layout layout(a);
  for (std::int64_t t = 0; t < a.tokens; t += layout.tokens) {
    RunChunk({a, layout, static_cast<char*>(exec.scratch), t, Least(layout.tokens, a.tokens - t)},
             *exec.pool);
  }
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t ExpertsScratch(const ExpertsArgs& a, int threads) {
  const BK_ISA::Layout layout(a);
  return static_cast<std::size_t>(layout.workers + layout.per_worker * threads);
}
#endif

}  // namespace birkhoff::cpu
