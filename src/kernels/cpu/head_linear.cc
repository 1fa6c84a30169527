// HeadLinear. Plain, every head is a matrix for Multiply. Transposed, outputs lie in the lanes: the
// weights of a few k are widened in registers and added to the sums of some tokens, which stay in
// L1. Bound by reading W for few tokens, by multiply-adds and the traffic of sums for many.
#include "kernels/args/head_linear.h"

#include "base/thread_pool.h"
#include "kernels/cpu/dequant.h"
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pairs.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

// Of the transposed form: tokens and columns of a piece (their sums are 16 KiB), rows of W that are
// added at once.
constexpr std::int64_t kTokens = 8;
constexpr std::int64_t kColumns = 512;
constexpr int kDepth = 4;

// A worker's scratch in bytes: that of Multiply and y [rows, kMaxOutputs], or transposed x
// [kTokens, K] and sums [kTokens, kColumns].
struct Layout {
  std::int64_t rows = 0;    // tokens of a piece
  std::int64_t first = 0;   // bytes of the first part
  std::int64_t second = 0;  // and of the other
  Work work = {};           // plain

  explicit Layout(const HeadLinearArgs& a) {
    rows = Least(a.tokens, a.transposed ? kTokens : kMaxRows);
    if (rows == 0) return;
    if (a.transposed) {
      first = kTokens * RoundUp(a.k(), 16) * 4;
      second = kTokens * kColumns * 4;
      return;
    }
    work = {a.n(), a.heads * CeilDiv(a.tokens, rows), rows, a.k(), 1};
    first = static_cast<std::int64_t>(MultiplyScratch(work));
    second = rows * kMaxOutputs * 4;
  }
  std::int64_t bytes() const { return first + second; }
};

// Where the outputs [n, n + count) of a head go, for `tokens` tokens from `token` on.
struct Piece {
  std::int64_t head = 0;
  std::int64_t token = 0;
  std::int64_t tokens = 0;
  std::int64_t n = 0;
  std::int64_t count = 0;

  std::int64_t Row(const HeadLinearArgs& a, std::int64_t t) const {
    return (token + t) * a.heads + head;
  }
};

void Plain(const HeadLinearArgs& a, const Piece& piece, const Layout& layout, char* scratch) {
  Rows x;
  x.is_bf16 = a.x_type == DType::kBF16;
  x.data = static_cast<const char*>(a.x) + piece.Row(a, 0) * a.x_row * (x.is_bf16 ? 2 : 4);
  x.stride = a.heads * a.x_row;
  x.count = piece.tokens;
  auto* y = reinterpret_cast<float*>(scratch + layout.first);
  const Outputs want = {&a.w[piece.head], piece.n, piece.count, y};
  Multiply(x, &want, 1, scratch);
  for (std::int64_t t = 0; t < piece.tokens; ++t) {
    const float* from = y + t * kMaxOutputs;
    const std::int64_t to = piece.Row(a, t) * a.n() + piece.n;
    ForRuns(piece.count, [&](std::int64_t i, int n) {
      StoreRun(a.out, a.out_type, to + i, LoadRun(from, DType::kF32, i, n), n);
    });
  }
}

// sums[t] += x[t, k] W[k] for kRows values of k, the columns of the piece in runs: even ones, odd.
template <class Row, int kRows>
BK_INLINE void AddRows(const WeightMatrix& w, const Piece& piece, std::int64_t k, const float* x,
                       std::int64_t x_row, float* sums) {
  Row row[kRows];
  BK_UNROLL
  for (int r = 0; r < kRows; ++r) row[r] = Row(w, k + r);
  const std::int64_t per_block = Row::RunsPerBlock(w);
  const std::int64_t begin = piece.n / kRun;
  const std::int64_t end = CeilDiv(piece.n + piece.count, kRun);
  F32x16 even[kRows];
  F32x16 odd[kRows];
  for (std::int64_t run = begin; run < end;) {
    const std::int64_t block = run / per_block;
    BK_UNROLL
    for (int r = 0; r < kRows; ++r) row[r].SetBlock(block);
    for (const std::int64_t stop = Least(end, (block + 1) * per_block); run < stop; ++run) {
      const bool whole = (run + 1) * kRun <= w.cols;
      BK_UNROLL
      for (int r = 0; r < kRows; ++r) {
        if (whole) {
          row[r].Read(run, &even[r], &odd[r]);
        } else {
          ReadTail(row[r], row[r].data + run * Row::kRunBytes, static_cast<int>(w.cols % kRun),
                   &even[r], &odd[r]);
        }
      }
      float* to = sums + (run - begin) * kRun;
      for (std::int64_t t = 0; t < piece.tokens; ++t, to += kColumns) {
        F32x16 e = Load(to);
        F32x16 o = Load(to + 16);
        BK_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const F32x16 v = Set(x[t * x_row + k + r]);
          e = Fma(v, even[r], e);
          o = Fma(v, odd[r], o);
        }
        Store(to, e);
        Store(to + 16, o);
      }
    }
  }
}

void Transposed(const HeadLinearArgs& a, const Piece& piece, const Layout& layout, char* scratch) {
  auto* x = reinterpret_cast<float*>(scratch);
  auto* sums = reinterpret_cast<float*>(scratch + layout.first);
  const WeightMatrix& w = a.w[piece.head];
  const std::int64_t x_row = RoundUp(a.k(), 16);
  for (std::int64_t t = 0; t < piece.tokens; ++t) {
    WidenRow(a.x, a.x_type == DType::kBF16, piece.Row(a, t) * a.x_row, a.k(), x + t * x_row);
    for (std::int64_t i = 0; i < RoundUp(piece.count, kRun); i += 16)
      Store(sums + t * kColumns + i, Zero());
  }
  ForFormat(w.format, [&](auto format) {
    using Row = decltype(format);
    std::int64_t k = 0;
    for (; k + kDepth <= a.k(); k += kDepth) AddRows<Row, kDepth>(w, piece, k, x, x_row, sums);
    for (; k < a.k(); ++k) AddRows<Row, 1>(w, piece, k, x, x_row, sums);
  });
  for (std::int64_t t = 0; t < piece.tokens; ++t) {
    float* row = sums + t * kColumns;
    for (std::int64_t i = 0; i < piece.count; i += kRun) {
      const F32x16 even = Load(row + i);
      const F32x16 odd = Load(row + i + 16);
      Store(row + i, FirstPairs(even, odd));
      Store(row + i + 16, LastPairs(even, odd));
    }
    const std::int64_t to = piece.Row(a, t) * a.n() + piece.n;
    ForRuns(piece.count,
            [&](std::int64_t i, int n) { StoreRun(a.out, a.out_type, to + i, Load(row + i), n); });
  }
}

}  // namespace

void HeadLinear(const HeadLinearArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const Layout layout(a);
  const std::int64_t outputs =
      a.transposed ? kColumns : PieceOutputs(layout.work, exec.pool->size());
  const std::int64_t pieces = CeilDiv(a.n(), outputs);  // of a head
  const std::int64_t blocks = CeilDiv(a.tokens, layout.rows);
  // About 4 us of work: less costs more to hand over than to do.
  const std::int64_t grain = 1 + 65536 / (Least(outputs, a.n()) * a.k() * layout.rows);
  exec.pool->ParallelFor(
      a.heads * pieces * blocks, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
        char* scratch = static_cast<char*>(exec.scratch) + worker * layout.bytes();
        for (std::int64_t i = begin; i < end; ++i) {  // the weights of a piece stay in a cache
          Piece piece;
          piece.token = i % blocks * layout.rows;
          piece.tokens = Least(layout.rows, a.tokens - piece.token);
          piece.n = i / blocks % pieces * outputs;
          piece.count = Least(outputs, a.n() - piece.n);
          piece.head = i / blocks / pieces;
          (a.transposed ? Transposed : Plain)(a, piece, layout, scratch);
        }
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t HeadLinearScratch(const HeadLinearArgs& a, int threads) {
  return static_cast<std::size_t>(BK_ISA::Layout(a).bytes()) * static_cast<std::size_t>(threads);
}
#endif

}  // namespace birkhoff::cpu
