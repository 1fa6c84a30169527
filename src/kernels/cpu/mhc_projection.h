// fn x and the sum of squares of each stream for a block of tokens, in the fixed tree of class
// "f32".
//
// A chunk is 32 columns of all streams, slice s of 16 owns the chunks [s C / 16, (s + 1) C / 16).
// In a slice lane l takes the columns = l mod 8 and runs one chain of fused multiply-adds over
// chunk, stream and block of eight columns; ReduceEight() adds its lanes; the slices are added as a
// balanced tree. The tree knows hc and H alone.
//
// fn is read once per block of tokens: four rows of a slice lie in L1 while every token of the
// block passes over them. With one token that read from memory is all that takes time.
#pragma once

#include "birkhoff/dtype.h"
#include "kernels/args/mhc.h"
#include "kernels/cpu/mhc_lanes.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

constexpr int kMhcBlock = 16;  // tokens of a block, one per lane once the slices are added
constexpr int kMhcSlices = 16;
constexpr int kMhcMaxRows = 88;  // hc = 8: 80 mixes and 8 sums of squares

// Token pairs that are multiplied with a loaded vector of fn: bounded by the registers.
#if defined(__AVX512F__)
constexpr int kMhcPairs = 4;
#else
constexpr int kMhcPairs = 1;
#endif

struct MhcProjection {
  MhcStreams streams = {};  // bf16 or f32
  bool is_bf16 = true;
  const float* fn = nullptr;  // [rows, hc * H]
  int rows = 0;               // even
  int hc = 0;
  std::int64_t hidden = 0;

  int outputs() const { return rows + hc; }
};

// Results of one slice: [rows, then hc sums of squares][token of the block].
struct MhcPartial {
  float at[kMhcMaxRows][kMhcBlock];
};

// The columns [begin, end) of a slice.
struct MhcColumns {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
BK_INLINE MhcColumns SliceColumns(std::int64_t hidden, int slice) {
  const std::int64_t chunks = (hidden + 31) / 32;
  const std::int64_t end = (slice + 1) * chunks / kMhcSlices * 32;
  return {slice * chunks / kMhcSlices * 32, end < hidden ? end : hidden};
}

// Calls f(at, row_at, n) for the blocks of eight columns of a slice in the order of the chain:
// where in a token's streams, where in a row of fn, how many columns.
template <class F>
BK_INLINE void ForBlocks(const MhcProjection& p, MhcColumns c, F f) {
  for (std::int64_t chunk = c.begin; chunk < c.end; chunk += 32) {
    const std::int64_t end = chunk + 32 < c.end ? chunk + 32 : c.end;
    for (int j = 0; j < p.hc; ++j) {
      const std::int64_t base = j * p.streams.stream;
      const std::int64_t of_row = j * p.hidden;
      std::int64_t i = chunk;
      for (; i + 8 <= end; i += 8) f(base + i, of_row + i, 8);
      if (i < end) f(base + i, of_row + i, static_cast<int>(end - i));
    }
  }
}

// kRows rows of fn from `row` with the 2 kPairs tokens at x.
template <int kRows, int kPairs, class Element>
void ProjectTile(const MhcProjection& p, MhcColumns c, const Element* const* x, int row, int token,
                 MhcPartial* partial) {
  const std::int64_t k = p.hc * p.hidden;
  const float* fn = p.fn + row * k;
  F32x16 acc[kRows][kPairs];
  BK_UNROLL
  for (int r = 0; r < kRows; ++r) {
    BK_UNROLL
    for (int q = 0; q < kPairs; ++q) acc[r][q] = Zero();
  }
  ForBlocks(
      p, c, [&](std::int64_t at, std::int64_t row_at, int n) __attribute__((always_inline)) {
        F32x16 v[kPairs];
        BK_UNROLL
        for (int q = 0; q < kPairs; ++q) {
          v[q] = n == 8 ? LoadEight(x[2 * q] + at, x[2 * q + 1] + at)
                        : LoadEightN(x[2 * q] + at, x[2 * q + 1] + at, n);
        }
        BK_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const float* f = fn + r * k + row_at;
          const F32x16 w = n == 8 ? EightTwice(f) : LoadEightN(f, f, n);
          BK_UNROLL
          for (int q = 0; q < kPairs; ++q) acc[r][q] = Fma(w, v[q], acc[r][q]);
        }
      });
  BK_UNROLL
  for (int r = 0; r < kRows; ++r) {
    BK_UNROLL
    for (int q = 0; q < kPairs; ++q) {
      float* out = partial->at[row + r] + token + 2 * q;
      ReduceEight(acc[r][q], out, out + 1);
    }
  }
}

// Sums of squares of every stream of the two tokens at x.
template <class Element>
void SquareTile(const MhcProjection& p, MhcColumns c, const Element* const* x, int token,
                MhcPartial* partial) {
  for (int j = 0; j < p.hc; ++j) {
    F32x16 acc = Zero();
    const std::int64_t base = j * p.streams.stream;
    std::int64_t i = c.begin;
    for (; i + 8 <= c.end; i += 8) {
      const F32x16 v = LoadEight(x[0] + base + i, x[1] + base + i);
      acc = Fma(v, v, acc);
    }
    if (i < c.end) {
      const F32x16 v = LoadEightN(x[0] + base + i, x[1] + base + i, static_cast<int>(c.end - i));
      acc = Fma(v, v, acc);
    }
    float* out = partial->at[p.rows + j] + token;
    ReduceEight(acc, out, out + 1);
  }
}

template <int kPairs, class Element>
void ProjectTokens(const MhcProjection& p, MhcColumns c, const Element* const* x, int token,
                   int row, MhcPartial* partial) {
  if (p.rows - row >= 4) {
    ProjectTile<4, kPairs>(p, c, x, row, token, partial);
  } else {
    ProjectTile<2, kPairs>(p, c, x, row, token, partial);
  }
}

template <class Element>
void ProjectSliceAs(const MhcProjection& p, std::int64_t first, int tokens, int slice,
                    MhcPartial* partial) {
  const MhcColumns c = SliceColumns(p.hidden, slice);
  const auto* streams = static_cast<const Element*>(p.streams.data) + first * p.streams.token;
  // A pair without a second token takes the first twice; its result is not read.
  const Element* x[kMhcBlock];
  for (int row = 0; row < p.outputs(); ++row) Store(partial->at[row], Zero());
  const int padded = (tokens + 1) / 2 * 2;
  for (int t = 0; t < padded; ++t) {
    x[t] = streams + (t < tokens ? t : tokens - 1) * p.streams.token;
  }
  for (int t = 0; t < padded; t += 2) SquareTile(p, c, x + t, t, partial);
  for (int row = 0; row < p.rows; row += 4) {
    int t = 0;
    for (; t + 2 * kMhcPairs <= padded; t += 2 * kMhcPairs) {
      ProjectTokens<kMhcPairs>(p, c, x + t, t, row, partial);
    }
    for (; t < padded; t += 2) ProjectTokens<1>(p, c, x + t, t, row, partial);
  }
}

// One slice of the tokens [first, first + tokens), tokens in [1, kMhcBlock].
inline void ProjectSlice(const MhcProjection& p, std::int64_t first, int tokens, int slice,
                         MhcPartial* partial) {
  if (p.is_bf16) {
    ProjectSliceAs<std::uint16_t>(p, first, tokens, slice, partial);
  } else {
    ProjectSliceAs<float>(p, first, tokens, slice, partial);
  }
}

// The sum of output `row` over the slices, one token per lane.
BK_INLINE F32x16 SumSlices(const MhcPartial* partials, int row) {
  F32x16 s[kMhcSlices];
  BK_UNROLL
  for (int i = 0; i < kMhcSlices; ++i) s[i] = Load(partials[i].at[row]);
  BK_UNROLL
  for (int step = 1; step < kMhcSlices; step *= 2) {
    BK_UNROLL
    for (int i = 0; i < kMhcSlices; i += 2 * step) s[i] = Add(s[i], s[i + step]);
  }
  return s[0];
}

// 1 / sqrt(mean square + eps), one token per lane.
inline F32x16 InverseRms(const MhcProjection& p, const MhcPartial* partials, float eps) {
  F32x16 g[8];
  for (int j = 0; j < p.hc; ++j) g[j] = SumSlices(partials, p.rows + j);
  for (int step = 1; step < p.hc; step *= 2) {
    for (int j = 0; j < p.hc; j += 2 * step) g[j] = Add(g[j], g[j + step]);
  }
  const F32x16 mean = Div(g[0], Set(static_cast<float>(p.hc * p.hidden)));
  return Div(Set(1.0f), Sqrt(Add(mean, Set(eps))));
}

}  // namespace birkhoff::cpu::BK_ISA
