// Products of a few rows of x: weights are widened in registers, four rows at a time, and used at
// once. The speed is that of reading them from memory.
#pragma once

#include <utility>

#include "kernels/cpu/dequant.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

BK_INLINE void Prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

// Calls f(0), ..., f(n - 1) with constants, so that arrays indexed by them stay in registers.
template <int n, class F>
BK_INLINE void Unrolled(F f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, n>{});
}

// Row i of x as f32: sixteen even columns of a run, sixteen odd, ...
inline void SplitRow(const Rows& x, std::int64_t i, std::int64_t width, float* out) {
  const int element = x.is_bf16 ? 2 : 4;
  const auto* from = static_cast<const unsigned char*>(x.data) + x.Begin(i) * element;
  const std::int64_t whole = width / kRun;
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
  const int rest = static_cast<int>(width % kRun);
  if (rest == 0) return;
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
    const std::int64_t end = Least(run + per_block, whole);
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
      y[t * kMaxOutputs + r] = ReduceAdd(sum[r][t]);
    });
  });
}

// Rows of W and of x that share a pass.
#if defined(__AVX2__)
constexpr int kPassRows = 4;
constexpr int kPassTokens = 4;
#else  // arrays stay in memory anyhow, and unrolling them takes minutes to compile
constexpr int kPassRows = 1;
constexpr int kPassTokens = 1;
#endif

// All tokens for kRows rows of W: after the first kPassTokens the rows come from a cache.
template <class Row, int kRows, int kTokens = kPassTokens>
void DotAll(const WeightMatrix& w, std::int64_t first, const float* x, std::int64_t x_stride,
            std::int64_t tokens, float* y) {
  for (; tokens >= kTokens; tokens -= kTokens, x += kTokens * x_stride, y += kTokens * kMaxOutputs)
    Dot<Row, kRows, kTokens>(w, first, x, x_stride, y);
  if constexpr (kTokens > 1) {
    if (tokens > 0) DotAll<Row, kRows, kTokens - 1>(w, first, x, x_stride, tokens, y);
  }
}

// `split` holds the rows of x as SplitRow writes them.
template <class Row>
void MultiplyFew(const float* split, std::int64_t tokens, const Outputs& out) {
  const std::int64_t stride = RoundUp(out.w->cols, kRun);
  std::int64_t j = 0;
  for (; j + kPassRows <= out.rows; j += kPassRows)
    DotAll<Row, kPassRows>(*out.w, out.first + j, split, stride, tokens, out.y + j);
  for (; j < out.rows; ++j) DotAll<Row, 1>(*out.w, out.first + j, split, stride, tokens, out.y + j);
}

}  // namespace birkhoff::cpu::BK_ISA
