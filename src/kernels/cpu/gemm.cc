#include "kernels/cpu/gemm.h"

#include <utility>

#include "kernels/cpu/dequant.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

constexpr std::int64_t kDirectRows = 8;  // up to so many rows of x go the first way
constexpr std::int64_t kPanelRuns = 64;  // a panel of weights: 96 x 2048 f32, 768 KiB of L2
constexpr std::int64_t kBlockRuns = 16;  // columns of one pass over a tile: 512
constexpr std::int64_t kBlockRows = 12;  // rows of x in L1: 12 x 512 f32, 24 KiB

BK_INLINE std::int64_t Runs(std::int64_t width) { return CeilDiv(width, kRun); }
BK_INLINE std::int64_t Min(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

BK_INLINE void Prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

// Calls f(0), ..., f(n - 1) with constants, so that arrays indexed by them stay in registers.
template <int n, class F>
BK_INLINE void Unrolled(F f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, n>{});
}

// Columns [first, first + 32 runs) of a row of x as f32: sixteen even columns, sixteen odd, ...
void SplitRow(const Rows& x, std::int64_t i, std::int64_t width, std::int64_t first_run,
              std::int64_t runs, float* out) {
  const std::int64_t row = x.index != nullptr ? x.index[i] : i;
  const int element = x.is_bf16 ? 2 : 4;
  const auto* from =
      static_cast<const unsigned char*>(x.data) + (row * x.stride + first_run * kRun) * element;
  const std::int64_t whole = Min(runs, width / kRun - first_run);
  F32x16 even = Zero();
  F32x16 odd = Zero();
  for (std::int64_t r = 0; r < whole; ++r) {
    if (x.is_bf16) {
      LoadBf16Pairs(reinterpret_cast<const std::uint16_t*>(from) + r * kRun, &even, &odd);
    } else {
      LoadF32Pairs(from + r * kRun * 4, &even, &odd);
    }
    Store(out + r * kRun, even);
    Store(out + r * kRun + 16, odd);
  }
  if (whole == runs) return;
  const int rest = static_cast<int>(width % kRun);
  if (x.is_bf16) {
    ReadTail(Bf16Row(), from + whole * kRun * 2, rest, &even, &odd);
  } else {
    ReadTail(F32Row(), from + whole * kRun * 4, rest, &even, &odd);
  }
  Store(out + whole * kRun, even);
  Store(out + whole * kRun + 16, odd);
}

// kRows rows of W times kTokens rows of x, one pass over W.
template <class Row, int kRows, int kTokens>
void Dot(const WeightMatrix& w, std::int64_t first, const float* x, std::int64_t x_stride,
         float* y) {
  Row row[kRows];
  F32x16 sum[kRows][kTokens];
  Unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
    row[r] = Row(w, first + r);
    Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) { sum[r][t] = Zero(); });
  });
  const auto multiply = [&](auto r, const float* xs, F32x16 even, F32x16 odd)
      __attribute__((always_inline)) {
    Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) {
      sum[r][t] = Fma(even, Load(xs + t * x_stride), sum[r][t]);
      sum[r][t] = Fma(odd, Load(xs + t * x_stride + 16), sum[r][t]);
    });
  };
  const std::int64_t whole = w.cols / kRun;
  const std::int64_t per_block = Row::RunsPerBlock(w);
  // The rows after these: the caller comes to them next, and rows are too short for the hardware
  // to find its stride in each.
  const std::int64_t ahead = kRows * (row[kRows > 1 ? 1 : 0].data - row[0].data);
  std::int64_t run = 0;
  for (std::int64_t block = 0; run < whole; ++block) {
    Unrolled<kRows>([&](auto r) __attribute__((always_inline)) { row[r].SetBlock(block); });
    const std::int64_t end = Min(run + per_block, whole);
    for (; run + Row::kStep <= end; run += Row::kStep) {
      Unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
        Prefetch(row[r].data + ahead + run * Row::kRunBytes);
        F32x16 even[Row::kStep], odd[Row::kStep];
        row[r].ReadStep(run, even, odd);
        Unrolled<Row::kStep>([&](auto s) __attribute__((always_inline)) {
          multiply(r, x + (run + s) * kRun, even[s], odd[s]);
        });
      });
    }
    for (; run < end; ++run) {
      Unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
        F32x16 even, odd;
        row[r].Read(run, &even, &odd);
        multiply(r, x + run * kRun, even, odd);
      });
    }
  }
  if (const int rest = static_cast<int>(w.cols % kRun); rest > 0) {
    Unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      F32x16 even, odd;
      row[r].SetBlock(whole / per_block);
      ReadTail(row[r], row[r].data + whole * Row::kRunBytes, rest, &even, &odd);
      multiply(r, x + whole * kRun, even, odd);
    });
  }
  Unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
    Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) {
      y[t * kPanel + r] = ReduceAdd(sum[r][t]);
    });
  });
}

// Rows of W and of x that share a pass.
#if defined(__AVX2__)
constexpr int kPassRows = 4;
constexpr int kPassTokens = 4;
#else
constexpr int kPassRows =
    1;  // arrays stay in memory anyhow, and unrolling them takes minutes to compile
constexpr int kPassTokens = 1;
#endif

// All tokens for kRows rows of W: after the first kPassTokens the rows come from a cache.
template <class Row, int kRows, int kTokens = kPassTokens>
void DotAll(const WeightMatrix& w, std::int64_t first, const float* x, std::int64_t x_stride,
            std::int64_t tokens, float* y) {
  for (; tokens >= kTokens; tokens -= kTokens, x += kTokens * x_stride, y += kTokens * kPanel)
    Dot<Row, kRows, kTokens>(w, first, x, x_stride, y);
  if constexpr (kTokens > 1) {
    if (tokens > 0) DotAll<Row, kRows, kTokens - 1>(w, first, x, x_stride, tokens, y);
  }
}

template <class Row>
void MultiplyFew(const Rows& x, const WeightMatrix& w, std::int64_t first, std::int64_t rows,
                 float* y, float* split) {
  const std::int64_t stride = Runs(w.cols) * kRun;
  for (std::int64_t i = 0; i < x.count; ++i)
    SplitRow(x, i, w.cols, 0, Runs(w.cols), split + i * stride);
  std::int64_t j = 0;
  for (; j + kPassRows <= rows; j += kPassRows)
    DotAll<Row, kPassRows>(w, first + j, split, stride, x.count, y + j);
  for (; j < rows; ++j) DotAll<Row, 1>(w, first + j, split, stride, x.count, y + j);
}

// The vector of a tile and its extents: as many accumulators as the registers hold beside the
// operands. kPanel is a multiple of every kTileCols.
#if defined(__AVX512F__)
using Lanes = F32x16;
constexpr int kTileRows = 6;
constexpr int kTileCols = 4;
#elif defined(__AVX2__)
struct Lanes {
  __m256 v;
};
BK_INLINE Lanes LoadLanes(const float* p) { return {_mm256_loadu_ps(p)}; }
BK_INLINE void Store(float* p, Lanes a) { _mm256_storeu_ps(p, a.v); }
BK_INLINE Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
constexpr int kTileRows = 4;
constexpr int kTileCols = 3;
#else
using Lanes = F32x16;
constexpr int kTileRows = 1;
constexpr int kTileCols = 1;
#endif
#if defined(__AVX512F__) || !defined(__AVX2__)
BK_INLINE Lanes LoadLanes(const float* p) { return Load(p); }
#endif
constexpr int kLanes = sizeof(Lanes) / 4;

// Goes on with the sums of kTileRows x kTileCols outputs, or begins them, over `steps` groups of
// sixteen columns.
template <int kTokens>
void Tile(const float* x, std::int64_t x_stride, const float* w, std::int64_t w_stride,
          std::int64_t steps, bool begins, float* sums) {
  Lanes sum[kTokens][kTileCols];
  Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) {
    Unrolled<kTileCols>([&](auto c) __attribute__((always_inline)) {
      sum[t][c] = begins ? Lanes{} : LoadLanes(sums + (t * kPanel + c) * 16);
    });
  });
  for (std::int64_t s = 0; s < steps; ++s, x += 16, w += 16) {
    Lanes col[kTileCols];
    Unrolled<kTileCols>([&](auto c) __attribute__((always_inline)) {
      col[c] = LoadLanes(w + c * w_stride);
    });
    Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) {
      const Lanes row = LoadLanes(x + t * x_stride);
      Unrolled<kTileCols>([&](auto c) __attribute__((always_inline)) {
        sum[t][c] = Fma(row, col[c], sum[t][c]);
      });
    });
  }
  Unrolled<kTokens>([&](auto t) __attribute__((always_inline)) {
    Unrolled<kTileCols>([&](auto c) __attribute__((always_inline)) {
      Store(sums + (t * kPanel + c) * 16, sum[t][c]);
    });
  });
}

// All sixteen lanes of a tile of any number of rows.
template <int kTokens = kTileRows>
void TileRows(std::int64_t tokens, const float* x, std::int64_t x_stride, const float* w,
              std::int64_t w_stride, std::int64_t steps, bool begins, float* sums) {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens)
      return TileRows<kTokens - 1>(tokens, x, x_stride, w, w_stride, steps, begins, sums);
  }
  for (int l = 0; l < 16; l += kLanes)
    Tile<kTokens>(x + l, x_stride, w + l, w_stride, steps, begins, sums + l);
}

// Rows [first, first + rows) of W and zeros up to a whole number of tiles, runs [begin, end), as
// f32 in the order of SplitRow.
template <class Row>
void WidenPanel(const WeightMatrix& w, std::int64_t first, std::int64_t rows, std::int64_t begin,
                std::int64_t end, float* panel) {
  const std::int64_t stride = (end - begin) * kRun;
  const std::int64_t whole = Min(end, w.cols / kRun);
  const std::int64_t per_block = Row::RunsPerBlock(w);
  for (std::int64_t j = 0; j < rows; ++j) {
    Row row(w, first + j);
    float* out = panel + j * stride;
    F32x16 even, odd;
    for (std::int64_t run = begin; run < whole;) {
      row.SetBlock(run / per_block);
      const std::int64_t stop = Min((run / per_block + 1) * per_block, whole);
      for (; run < stop; ++run, out += kRun) {
        row.Read(run, &even, &odd);
        Store(out, even);
        Store(out + 16, odd);
      }
    }
    if (whole == end) continue;
    row.SetBlock(whole / per_block);
    ReadTail(row, row.data + whole * Row::kRunBytes, static_cast<int>(w.cols % kRun), &even, &odd);
    Store(out, even);
    Store(out + 16, odd);
  }
  const std::int64_t padded = CeilDiv(rows, kTileCols) * kTileCols;
  std::memset(panel + rows * stride, 0, static_cast<std::size_t>((padded - rows) * stride) * 4);
}

// Floats of scratch for the panel, the block of x and the sums.
struct Layout {
  std::int64_t panel = 0;
  std::int64_t block = 0;
  std::int64_t sum_rows = 0;

  Layout(std::int64_t rows, std::int64_t width) {
    const std::int64_t runs = Runs(width);
    panel = kPanel * Min(runs, kPanelRuns) * kRun;
    block = kBlockRows * Min(runs, kBlockRuns) * kRun;
    // With one panel the sums of a block of rows are complete before the next block begins.
    sum_rows = runs <= kPanelRuns ? Min(rows, kBlockRows) : rows;
  }
  std::int64_t floats() const { return panel + block + sum_rows * kPanel * 16; }
};

// One block of rows of x times one panel.
void MultiplyBlock(const Rows& x, std::int64_t i0, std::int64_t count, std::int64_t width,
                   std::int64_t rows, std::int64_t begin, std::int64_t end, const float* panel,
                   float* block, float* sums) {
  const std::int64_t stride = (end - begin) * kRun;
  for (std::int64_t run = begin; run < end; run += kBlockRuns) {
    const std::int64_t runs = Min(kBlockRuns, end - run);
    for (std::int64_t i = 0; i < count; ++i)
      SplitRow(x, i0 + i, width, run, runs, block + i * runs * kRun);
    for (std::int64_t j = 0; j < rows; j += kTileCols) {
      for (std::int64_t i = 0; i < count; i += kTileRows) {
        TileRows(Min(kTileRows, count - i), block + i * runs * kRun, runs * kRun,
                 panel + j * stride + (run - begin) * kRun, stride, runs * 2, run == 0,
                 sums + (i * kPanel + j) * 16);
      }
    }
  }
}

template <class Row>
void MultiplyMany(const Rows& x, const WeightMatrix& w, std::int64_t first, std::int64_t rows,
                  float* y, float* scratch) {
  const Layout layout(x.count, w.cols);
  float* panel = scratch;
  float* block = panel + layout.panel;
  float* sums = block + layout.block;
  const std::int64_t runs = Runs(w.cols);
  for (std::int64_t begin = 0; begin < runs; begin += kPanelRuns) {
    const std::int64_t end = Min(begin + kPanelRuns, runs);
    WidenPanel<Row>(w, first, rows, begin, end, panel);
    for (std::int64_t i0 = 0; i0 < x.count; i0 += kBlockRows) {
      const std::int64_t count = Min(kBlockRows, x.count - i0);
      float* own = sums + (layout.sum_rows > kBlockRows ? i0 * kPanel * 16 : 0);
      MultiplyBlock(x, i0, count, w.cols, rows, begin, end, panel, block, own);
      if (end < runs) continue;
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < rows; ++j)
          y[(i0 + i) * kPanel + j] = ReduceAdd(Load(own + (i * kPanel + j) * 16));
      }
    }
  }
}

template <class Row>
void MultiplyFormat(const Rows& x, const WeightMatrix& w, std::int64_t first, std::int64_t rows,
                    float* y, float* scratch) {
  const auto way = x.count <= kDirectRows ? MultiplyFew<Row> : MultiplyMany<Row>;
  way(x, w, first, rows, y, scratch);
}

}  // namespace

void Multiply(const Rows& x, const WeightMatrix& w, std::int64_t first, std::int64_t rows, float* y,
              void* scratch) {
  auto* floats = static_cast<float*>(scratch);
  switch (w.format) {
    case WeightFormat::kF32: return MultiplyFormat<F32Row>(x, w, first, rows, y, floats);
    case WeightFormat::kBF16: return MultiplyFormat<Bf16Row>(x, w, first, rows, y, floats);
    case WeightFormat::kF16: return MultiplyFormat<F16Row>(x, w, first, rows, y, floats);
    case WeightFormat::kFp8Block: return MultiplyFormat<Fp8Row>(x, w, first, rows, y, floats);
    case WeightFormat::kMxfp4: return MultiplyFormat<Mxfp4Row>(x, w, first, rows, y, floats);
  }
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::int64_t PieceRows(std::int64_t total, std::int64_t times, int threads) {
  std::int64_t piece = kPanel;
  while (piece > 12 && times * total < 8 * threads * piece) piece /= 2;
  return piece;
}

std::size_t MultiplyScratch(std::int64_t rows, std::int64_t width) {
  using namespace BK_ISA;
  const std::int64_t few = (rows < kDirectRows ? rows : kDirectRows) * Runs(width) * kRun;
  const std::int64_t many = rows > kDirectRows ? Layout(rows, width).floats() : 0;
  return static_cast<std::size_t>(few > many ? few : many) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
