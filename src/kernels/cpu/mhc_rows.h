// The two passes of mHC over the streams of one token: mixing them and reading them.
#pragma once

#include "kernels/args/mhc.h"
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
void PostColumns(const MhcPostArgs& a, std::int64_t token, std::int64_t begin, std::int64_t end) {
  const MhcStreams streams = StreamsOf(a);
  const float* post = a.post + token * hc;
  const float* comb = a.comb + token * hc * hc;
  const std::int64_t of_x = token * (a.layout.x == 0 ? a.hidden : a.layout.x);
  ForRuns(end - begin, [&](std::int64_t i, int n) {
    const std::int64_t column = begin + i;
    const F32x16 from_x = LoadRun(a.x, a.type, of_x + column, n);
    F32x16 s[hc];
    BK_UNROLL
    for (int j = 0; j < hc; ++j) {
      s[j] = LoadRun(streams.data, a.type, token * streams.token + j * streams.stream + column, n);
    }
    BK_UNROLL
    for (int m = 0; m < hc; ++m) {
      F32x16 v = Mul(Set(post[m]), from_x);
      BK_UNROLL
      for (int j = 0; j < hc; ++j) v = Fma(Set(comb[j * hc + m]), s[j], v);
      StoreRun(a.out, a.type, (token * hc + m) * a.hidden + column, v, n);
    }
  });
}

// out = sum_j pre_j X_j of one token.
template <int hc>
void CollapseRow(const MhcStreams& streams, const float* pre, void* out, DType type,
                 std::int64_t token, std::int64_t hidden) {
  const std::int64_t base = token * streams.token;
  ForRuns(hidden, [&](std::int64_t i, int n) {
    F32x16 v = Mul(Set(pre[0]), LoadRun(streams.data, type, base + i, n));
    BK_UNROLL
    for (int j = 1; j < hc; ++j) {
      v = Fma(Set(pre[j]), LoadRun(streams.data, type, base + j * streams.stream + i, n), v);
    }
    StoreRun(out, type, token * hidden + i, v, n);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
