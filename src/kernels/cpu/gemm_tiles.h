// A block of columns of rows of x times those of a panel of weights: the inner part of gemm_many.h.
//
// Tiles of accumulators run chain after chain over the block, and the tree of LinearArgs adds whole
// registers.
#pragma once

#include "kernels/cpu/dequant.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

constexpr int kChains = 16;
constexpr int kLevels = 4;                   // of the tree over them
constexpr std::int64_t kBlockColumns = 512;  // of one pass
constexpr std::int64_t kBlockRows = 12;      // rows of x in L1: 12 x 512 f32, 24 KiB
constexpr std::int64_t kPad = 16;  // keeps chains of a panel and rows of x out of one set of L1
constexpr std::int64_t kBlockStride = kBlockColumns + kPad;

// The vector of a tile and its extents: as many accumulators as the registers hold beside the
// operands.
#if defined(__AVX512F__)
using Lanes = F32x16;
constexpr int kTileTokens = 6;
constexpr int kTileCols = 4;
#elif defined(__AVX2__)
struct Lanes {
  __m256 v;
};
BK_INLINE Lanes SetLanes(float x) { return {_mm256_set1_ps(x)}; }
BK_INLINE Lanes LoadLanes(const float* p) { return {_mm256_loadu_ps(p)}; }
BK_INLINE void Store(float* p, Lanes a) { _mm256_storeu_ps(p, a.v); }
BK_INLINE Lanes Add(Lanes a, Lanes b) { return {_mm256_add_ps(a.v, b.v)}; }
BK_INLINE Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
constexpr int kTileTokens = 6;
constexpr int kTileCols = 2;
#else
using Lanes = F32x16;
constexpr int kTileTokens = 1;
constexpr int kTileCols = 1;
#endif
#if defined(__AVX512F__) || !defined(__AVX2__)
BK_INLINE Lanes SetLanes(float x) { return Set(x); }
BK_INLINE Lanes LoadLanes(const float* p) { return Load(p); }
#endif
constexpr int kLanes = sizeof(Lanes) / 4;

// A block of columns of some rows of x times those of some outputs.
struct Pass {
  const float* x = nullptr;  // [rows, kBlockStride]
  const float* w = nullptr;  // [16, w_stride]: in each chain [2 runs, kPanel]
  std::int64_t w_stride = 0;
  std::int64_t width = 0;
  std::int64_t runs = 0;
  // [16, kept_stride]: in each chain the sums so far [rows, kPanel]; null where one pass is all.
  float* kept = nullptr;
  std::int64_t kept_stride = 0;
  bool begins = false;
  bool ends = false;   // the tree goes to y, else the sums back to kept
  float* y = nullptr;  // [rows, kMaxOutputs]
};

// Calls f(t, c) for every accumulator of a tile.
template <int kTokens, int kCols, class F>
BK_INLINE void ForTile(F f) {
  BK_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    BK_UNROLL
    for (int c = 0; c < kCols; ++c) f(t, c);
  }
}

// Goes on with one chain of a tile.
template <int kTokens, int kCols>
BK_INLINE void RunChain(const float* x, const float* w, std::int64_t runs,
                        Lanes (&sum)[kTokens][kCols]) {
  const auto step = [&](const float* xs, const float* ws) __attribute__((always_inline)) {
    Lanes col[kCols];
    BK_UNROLL
    for (int c = 0; c < kCols; ++c) col[c] = LoadLanes(ws + c * kLanes);
    BK_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const Lanes row = SetLanes(xs[t * kBlockStride]);
      BK_UNROLL
      for (int c = 0; c < kCols; ++c) sum[t][c] = Fma(row, col[c], sum[t][c]);
    }
  };
  for (std::int64_t run = 0; run < runs; ++run, x += kRun, w += 2 * kPanel) {
    step(x, w);
    step(x + 1, w + kPanel);
  }
}

// `tiles` tiles below each other: a chain of W stays in L1 for all of them.
template <int kTokens, int kCols>
void Tiles(const Pass& pass, std::int64_t tiles) {
  // Sums of chains on their way to the root of the tree: at most one for each of its levels.
  Lanes stack[kLevels][kBlockRows / kTileTokens][kTokens][kCols];
  for (unsigned n = 0; n < kChains; ++n) {
    // Bits reversed: so a chain follows the subtree that it, or its own subtree, is added to.
    const std::int64_t l = (n & 1) << 3 | (n & 2) << 1 | (n & 4) >> 1 | n >> 3;
    const float* w = pass.w + l * pass.w_stride;
    for (std::int64_t i = 0; i < tiles; ++i) {
      float* kept = pass.kept;
      if (kept != nullptr) kept += l * pass.kept_stride + i * kTokens * kPanel;
      float* y = pass.y + i * kTokens * kMaxOutputs;
      Lanes sum[kTokens][kCols];
      ForTile<kTokens, kCols>([&](int t, int c) __attribute__((always_inline)) {
        sum[t][c] = pass.begins ? SetLanes(0) : LoadLanes(kept + t * kPanel + c * kLanes);
      });
      RunChain(pass.x + i * kTokens * kBlockStride + 2 * l, w, pass.runs, sum);
      if (!pass.ends) {
        ForTile<kTokens, kCols>([&](int t, int c) __attribute__((always_inline)) {
          Store(kept + t * kPanel + c * kLanes, sum[t][c]);
        });
        continue;
      }
      int level = __builtin_popcount(n);
      for (unsigned odd = n; (odd & 1) != 0; odd >>= 1) {
        --level;
        ForTile<kTokens, kCols>([&](int t, int c) __attribute__((always_inline)) {
          sum[t][c] = Add(stack[level][i][t][c], sum[t][c]);
        });
      }
      ForTile<kTokens, kCols>([&](int t, int c) __attribute__((always_inline)) {
        if (n + 1 < kChains) {
          stack[level][i][t][c] = sum[t][c];
        } else {
          Store(y + t * kMaxOutputs + c * kLanes, sum[t][c]);
        }
      });
    }
  }
}

// Tiles for any number of rows and vectors up to those of the largest.
template <int kTokens = kTileTokens, int kCols = kTileCols>
void AnyTiles(const Pass& pass, std::int64_t tiles, std::int64_t tokens, std::int64_t cols) {
  if constexpr (kCols > 1) {
    if (cols < kCols) return AnyTiles<kTokens, kCols - 1>(pass, tiles, tokens, cols);
  }
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) return AnyTiles<kTokens - 1, kCols>(pass, tiles, tokens, cols);
  }
  Tiles<kTokens, kCols>(pass, tiles);
}

// All tiles of a block of up to kBlockRows rows.
inline void RunPass(Pass pass, std::int64_t rows) {
  const Pass first = pass;
  for (std::int64_t j = 0; j < pass.width; j += kTileCols * kLanes) {
    const std::int64_t cols = Least(kTileCols, (pass.width - j) / kLanes);
    pass.w = first.w + j;
    const auto run = [&](std::int64_t i, std::int64_t tiles, std::int64_t tokens) {
      pass.x = first.x + i * kBlockStride;
      if (first.kept != nullptr) pass.kept = first.kept + i * kPanel + j;
      pass.y = first.y + i * kMaxOutputs + j;
      AnyTiles(pass, tiles, tokens, cols);
    };
    const std::int64_t whole = rows / kTileTokens;
    if (whole > 0) run(0, whole, kTileTokens);
    if (const std::int64_t rest = rows % kTileTokens; rest > 0) run(whole * kTileTokens, 1, rest);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
