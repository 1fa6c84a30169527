// From the projected mixes to pre, post and comb, one token per lane.
#pragma once

#include "kernels/args/mhc.h"
#include "kernels/cpu/mhc_projection.h"

namespace birkhoff::cpu::BK_ISA {

// Writes lane t of each value of v to out[(first + t) * n + i], i the index of the value.
BK_INLINE void Scatter(const F32x16* v, int n, int tokens, float* out) {
  for (int i = 0; i < n; ++i) {
    float lanes[16];
    Store(lanes, v[i]);
    for (int t = 0; t < tokens; ++t) out[t * n + i] = lanes[t];
  }
}

// m scale + base for output `row`.
BK_INLINE F32x16 MhcLogit(const MhcPartial* partials, F32x16 rs, int row, float scale, float base) {
  return cpu::BK_ISA::Add(Mul(Mul(SumSlices(partials, row), rs), Set(scale)), Set(base));
}

// comb of hc x hc logits in place: row softmax + eps, then column and row steps in scaling-vector
// form. The matrix M stays as it is; e and d are the denominators, v and u their reciprocals, and
// the result is (u_i M_ij) v_j after a last column step.
template <int hc>
void Sinkhorn(F32x16* m, float eps_value, int iterations) {
  const F32x16 eps = Set(eps_value);
  const F32x16 one = Set(1.0f);
  F32x16 u[hc], v[hc], d[hc], e[hc];
  BK_UNROLL
  for (int i = 0; i < hc; ++i) {
    F32x16* row = m + i * hc;
    F32x16 largest = row[0];
    BK_UNROLL
    for (int j = 1; j < hc; ++j) largest = Max(largest, row[j]);
    F32x16 sum = Zero();
    BK_UNROLL
    for (int j = 0; j < hc; ++j) {
      row[j] = Exp(Sub(row[j], largest));
      sum = cpu::BK_ISA::Add(sum, row[j]);
    }
    BK_UNROLL
    for (int j = 0; j < hc; ++j) row[j] = cpu::BK_ISA::Add(Div(row[j], sum), eps);
    u[i] = v[i] = d[i] = e[i] = one;
  }
  for (int step = 0; step < iterations; ++step) {
    if (step > 0) {
      BK_UNROLL
      for (int i = 0; i < hc; ++i) {
        d[i] = Mul(eps, d[i]);
        BK_UNROLL
        for (int j = 0; j < hc; ++j) d[i] = Fma(m[i * hc + j], v[j], d[i]);
        u[i] = Div(one, d[i]);
      }
    }
    BK_UNROLL
    for (int j = 0; j < hc; ++j) {
      e[j] = Mul(eps, e[j]);
      BK_UNROLL
      for (int i = 0; i < hc; ++i) e[j] = Fma(m[i * hc + j], u[i], e[j]);
      v[j] = Div(one, e[j]);
    }
  }
  BK_UNROLL
  for (int i = 0; i < hc; ++i) {
    BK_UNROLL
    for (int j = 0; j < hc; ++j) m[i * hc + j] = Mul(Mul(u[i], m[i * hc + j]), v[j]);
  }
}

// Coefficients of the tokens [0, tokens) of a block, written to pre [tokens, hc], post [tokens, hc]
// and comb [tokens, hc, hc].
template <int hc>
void MhcCoefficients(const MhcProjection& p, const MhcSite& site, const MhcPartial* partials,
                     int tokens, float* pre, float* post, float* comb) {
  const F32x16 rs = InverseRms(p, partials, site.rms_eps);
  const auto logit = [&](int row, float scale) {
    return MhcLogit(partials, rs, row, scale, site.base[row]);
  };
  F32x16 v[hc * hc];
  for (int j = 0; j < hc; ++j) {
    v[j] = cpu::BK_ISA::Add(Sigmoid(logit(j, site.scale[0])), Set(site.pre_eps));
  }
  Scatter(v, hc, tokens, pre);
  for (int j = 0; j < hc; ++j) {
    v[j] = Mul(Set(site.post_mult), Sigmoid(logit(hc + j, site.scale[1])));
  }
  Scatter(v, hc, tokens, post);
  for (int i = 0; i < hc * hc; ++i) v[i] = logit(2 * hc + i, site.scale[2]);
  Sinkhorn<hc>(v, site.sinkhorn_eps, site.iterations);
  Scatter(v, hc * hc, tokens, comb);
}

// The weights of the head, pre [tokens, hc].
template <int hc>
void MhcHeadWeights(const MhcProjection& p, const MhcPartial* partials, const float* base,
                    const float* scale, float rms_eps, float eps, int tokens, float* pre) {
  const F32x16 rs = InverseRms(p, partials, rms_eps);
  F32x16 v[hc];
  for (int j = 0; j < hc; ++j) {
    const F32x16 logit = MhcLogit(partials, rs, j, scale[0], base[j]);
    v[j] = cpu::BK_ISA::Add(Sigmoid(logit), Set(eps));
  }
  Scatter(v, hc, tokens, pre);
}

}  // namespace birkhoff::cpu::BK_ISA
