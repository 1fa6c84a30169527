// The two passes of mHC over the streams of one token: mixing them and reading them.
#pragma once

#include "kernels/cpu/runs.h"
#include "kernels/cpu/unroll.h"

namespace birkhoff::cpu::BK_ISA {

// Calls f.template operator()<hc>() for hc = 2, 4 or 8.
template <class F>
BK_INLINE void WithStreams(std::int64_t hc, F f) {
  if (hc == 2) {
    f.template operator()<2>();
  } else if (hc == 4) {
    f.template operator()<4>();
  } else {
    f.template operator()<8>();
  }
}

// Columns [begin, end) of one token: out_m = post_m x + sum_j comb[j, m] X_j. out may be streams.
template <int hc>
void PostColumns(const void* x, const void* streams, const float* post, const float* comb,
                 void* out, DType type, std::int64_t token, std::int64_t hidden, std::int64_t begin,
                 std::int64_t end) {
  const std::int64_t base = token * hc * hidden;
  ForRuns(end - begin, [&](std::int64_t i, int n) {
    const std::int64_t column = begin + i;
    const F32x16 from_x = LoadRun(x, type, token * hidden + column, n);
    F32x16 s[hc];
    BK_UNROLL
    for (int j = 0; j < hc; ++j) s[j] = LoadRun(streams, type, base + j * hidden + column, n);
    BK_UNROLL
    for (int m = 0; m < hc; ++m) {
      F32x16 a = Mul(Set(post[m]), from_x);
      BK_UNROLL
      for (int j = 0; j < hc; ++j) a = Fma(Set(comb[j * hc + m]), s[j], a);
      StoreRun(out, type, base + m * hidden + column, a, n);
    }
  });
}

// out = sum_j pre_j X_j of one token.
template <int hc>
void CollapseRow(const void* streams, const float* pre, void* out, DType type, std::int64_t token,
                 std::int64_t hidden) {
  const std::int64_t base = token * hc * hidden;
  ForRuns(hidden, [&](std::int64_t i, int n) {
    F32x16 v = Mul(Set(pre[0]), LoadRun(streams, type, base + i, n));
    BK_UNROLL
    for (int j = 1; j < hc; ++j) {
      v = Fma(Set(pre[j]), LoadRun(streams, type, base + j * hidden + i, n), v);
    }
    StoreRun(out, type, token * hidden + i, v, n);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
