// The brick: what one warp does with 8 tokens and 32 columns (a chunk) of all their streams. Every
// tensor-core mHC kernel is made of it, so that all of them give the bits of class "mhc bf16x2".
//
// Lane l holds token l / 4 and columns 8 (l % 4) ... + 7 of the chunk as bf16 pairs. Those words
// are the B fragments of mma.m16n8k16: step q of a stream takes words 2 q and 2 q + 1 of every
// lane, which permutes the columns of the chunk in the same way as PackFn() does. A tile of A is
// eight rows of fn, rounded to bf16 (hi), above what that rounding left (lo).
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/ptx/mma.h"

namespace birkhoff::cuda {

constexpr int kSlices = 16;  // of the hidden columns; the leaves of the tree
constexpr int kChunk = 32;   // columns
constexpr int kTile = 8;     // tokens

// Eight bf16 are four words; the first of a pair stands low.
__device__ inline float Low(unsigned w) { return __uint_as_float(w << 16); }
__device__ inline float High(unsigned w) { return __uint_as_float(w & 0xffff0000u); }
__device__ inline unsigned Pack(float low, float high) {
  unsigned w;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(high), "f"(low));
  return w;
}
__device__ inline const unsigned& Word(const uint4& v, int i) { return (&v.x)[i]; }
__device__ inline unsigned& Word(uint4& v, int i) { return (&v.x)[i]; }

// X'_m = post_m x + sum_j comb[j, m] X_j, rounded. coefficients: post, then the rows of comb;
// aligned to 16 bytes for hc >= 4, to 8 for hc = 2.
template <int hc>
__device__ inline void Mix(const uint4& x, const uint4 (&streams)[hc], const float* coefficients,
                           uint4 (&out)[hc]) {
  using Vector = std::conditional_t<hc == 2, float2, float4>;
  constexpr int kWide = sizeof(Vector) / 4;
  Vector c[hc * (hc + 1) / kWide];
#pragma unroll
  for (int i = 0; i < hc * (hc + 1) / kWide; ++i)
    c[i] = reinterpret_cast<const Vector*>(coefficients)[i];
  const auto at = [&](int i) { return (&c[i / kWide].x)[i % kWide]; };
  // Word by word, so that few values are wide at a time.
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int m = 0; m < hc; ++m) {
      float low = __fmul_rn(at(m), Low(Word(x, i)));
      float high = __fmul_rn(at(m), High(Word(x, i)));
#pragma unroll
      for (int j = 0; j < hc; ++j) {
        low = __fmaf_rn(at(hc + j * hc + m), Low(Word(streams[j], i)), low);
        high = __fmaf_rn(at(hc + j * hc + m), High(Word(streams[j], i)), high);
      }
      Word(out[m], i) = Pack(low, high);
    }
  }
}

// fn X' of one chunk: a chain of 2 hc products per tile of fn. fragment(i) is what this lane has of
// the i-th 512 bytes of the packed chunk. acc[m] holds rows 8 m + l / 4 of tokens 2 (l % 4) and
// 2 (l % 4) + 1: hi in 0 and 1, lo in 2 and 3.
template <int hc, int kTiles, class Fragment>
__device__ inline void Project(Fragment fragment, const uint4 (&mixed)[hc],
                               float (&acc)[kTiles][4]) {
#pragma unroll
  for (int m = 0; m < kTiles; ++m) acc[m][0] = acc[m][1] = acc[m][2] = acc[m][3] = 0;
#pragma unroll
  for (int step = 0; step < 2 * hc; ++step) {
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
      ptx::MmaBf16(acc[m], fragment(step * kTiles + m), Word(mixed[step / 2], step % 2 * 2),
                   Word(mixed[step / 2], step % 2 * 2 + 1));
  }
}

// Sums of products of streams over a chunk are diagonals of small products: tensor cores have the
// time, the rest has not. Pairs are (streams 2 i | 2 i + 1) times stream j.
template <int hc>
__device__ inline void Diagonal(const uint4 (&v)[hc], int i, int j, float (&d)[4]) {
  d[0] = d[1] = d[2] = d[3] = 0;
#pragma unroll
  for (int q = 0; q < 2; ++q) {
    const uint4 a = {Word(v[2 * i], 2 * q), Word(v[2 * i + 1], 2 * q), Word(v[2 * i], 2 * q + 1),
                     Word(v[2 * i + 1], 2 * q + 1)};
    ptx::MmaBf16(d, a, Word(v[j], 2 * q), Word(v[j], 2 * q + 1));
  }
}

// Whether this lane holds the sums of its token.
__device__ inline bool HoldsSums(int lane) { return lane % 4 == lane / 8; }

// How many sums of products a token has: all pairs of four streams, else the squares.
template <int hc>
constexpr int kGrams = hc == 4 ? 10 : hc;

// hc = 4: G_00 01 02 03 11 12 13 22 23 33; else G_jj. Valid where HoldsSums().
template <int hc>
__device__ inline void Gram(const uint4 (&v)[hc], int lane, float (&g)[kGrams<hc>]) {
  const bool odd = lane / 4 % 2 != 0;
  const auto upper = [&](const float(&d)[4]) { return odd ? d[1] : d[0]; };
  const auto lower = [&](const float(&d)[4]) { return odd ? d[3] : d[2]; };
  float d[4];
  if constexpr (hc == 4) {
    Diagonal<hc>(v, 0, 0, d);
    g[0] = upper(d);
    Diagonal<hc>(v, 0, 1, d);
    g[1] = upper(d);
    g[4] = lower(d);
    Diagonal<hc>(v, 0, 2, d);
    g[2] = upper(d);
    g[5] = lower(d);
    Diagonal<hc>(v, 0, 3, d);
    g[3] = upper(d);
    g[6] = lower(d);
    Diagonal<hc>(v, 1, 2, d);
    g[7] = upper(d);
    Diagonal<hc>(v, 1, 3, d);
    g[8] = upper(d);
    g[9] = lower(d);
  } else {
#pragma unroll
    for (int i = 0; i < hc / 2; ++i) {
      Diagonal<hc>(v, i, 2 * i, d);
      g[2 * i] = upper(d);
      Diagonal<hc>(v, i, 2 * i + 1, d);
      g[2 * i + 1] = lower(d);
    }
  }
}

// The numbers of a token and slice, in this order: rows of fn, then kGrams; padded to 16 bytes.
template <int hc, int kRows>
constexpr int kPitch = (kRows + kGrams<hc> + 3) / 4 * 4;

// v = sum_j pre_j X'_j of two columns each, in f32.
template <int hc>
__device__ inline float2 Weigh(const uint4 (&v)[hc], int word, const float* pre) {
  float low = __fmul_rn(pre[0], Low(Word(v[0], word)));
  float high = __fmul_rn(pre[0], High(Word(v[0], word)));
#pragma unroll
  for (int j = 1; j < hc; ++j) {
    low = __fmaf_rn(pre[j], Low(Word(v[j], word)), low);
    high = __fmaf_rn(pre[j], High(Word(v[j], word)), high);
  }
  return {low, high};
}

// h of eight columns: (bf16(v) rs) weight. Factors of 1 change nothing, so h without a norm has no
// form of its own.
template <int hc>
__device__ inline uint4 Collapse(const uint4 (&v)[hc], const float* pre, float rs,
                                 const float (&weight)[8]) {
  unsigned w[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 sum = Weigh<hc>(v, i, pre);
    const unsigned rounded = Pack(sum.x, sum.y);
    w[i] = Pack(__fmul_rn(__fmul_rn(Low(rounded), rs), weight[2 * i]),
                __fmul_rn(__fmul_rn(High(rounded), rs), weight[2 * i + 1]));
  }
  return {w[0], w[1], w[2], w[3]};
}

}  // namespace birkhoff::cuda
