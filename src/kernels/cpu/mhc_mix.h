// What the fused mHC kernels share: X' of a block of tokens, projected while it is in cache.
#pragma once

#include "kernels/cpu/fp8_row.h"
#include "kernels/cpu/mhc_blocks.h"
#include "kernels/cpu/mhc_coefficients.h"
#include "kernels/cpu/mhc_rows.h"
#include "kernels/cpu/rms_norm_row.h"

namespace birkhoff::cpu::BK_ISA {

// For each block of tokens: mixes its streams and projects them with p, a slice of columns at a
// time; then finish() as in ForTokenBlocks().
template <int hc, class Finish>
void MixAndProject(ThreadPool& pool, const MhcProjection& p, const MhcPostArgs& a, Finish finish) {
  ForTokenBlocks(
      pool, p, a.tokens,
      [&](std::int64_t first, int tokens, int s, MhcPartial* partial) {
        const MhcColumns c = SliceColumns(a.hidden, s);
        for (std::int64_t t = first; t < first + tokens; ++t) {
          PostColumns<hc>(a, t, c.begin, c.end);
        }
        ProjectSlice(p, first, tokens, s, partial);
      },
      finish);
}

// h of the tokens of a block from their X': collapse with pre [tokens, hc], then norm in place.
template <int hc>
void CollapseAndNorm(const MhcStreams& streams, const float* pre, const RmsNormArgs& norm,
                     std::int64_t first, int tokens) {
  for (int t = 0; t < tokens; ++t) {
    CollapseRow<hc>(streams, pre + t * hc, norm.out, norm.out_type, first + t, norm.width);
    if (norm.weight != nullptr) NormRow(norm, first + t);
  }
}

// The boundary; pre_before: what h is read with, or null for the site's own pre. Scratch has a row
// for each worker, which is h of one token where the caller wants FP8 alone.
template <int hc>
void Boundary(const MhcBoundaryArgs& a, const float* pre_before, const Exec& exec) {
  const MhcProjection p = {{a.streams_out, hc * a.hidden, a.hidden},
                           a.type == DType::kBF16,
                           a.site.fn,
                           hc * (hc + 2),
                           hc,
                           a.hidden};
  const auto norm = [&](void* rows, std::int64_t count) {
    return NormInPlace(rows, a.norm_weight, a.type, count, a.hidden, a.norm_eps);
  };
  const Fp8Rows fp8 = fp8::WithSteps(a.fp8, a.hidden);
  MixAndProject<hc>(
      *exec.pool, p, PostOf(a),
      [&](std::int64_t first, int tokens, const MhcPartial* partials, int worker) {
        const float* pre = a.pre_out + first * hc;
        MhcCoefficients<hc>(p, a.site, partials, tokens, a.pre_out + first * hc,
                            a.post_out + first * hc, a.comb_out + first * hc * hc);
        if (pre_before != nullptr) pre = pre_before + first * hc;
        if (a.h != nullptr) CollapseAndNorm<hc>(p.streams, pre, norm(a.h, a.tokens), first, tokens);
        if (fp8.format.group == 0) return;
        auto* own = static_cast<std::uint16_t*>(exec.scratch) + worker * a.hidden;
        for (int t = 0; t < tokens; ++t) {
          const std::int64_t token = first + t;
          if (a.h == nullptr) {
            const auto* x = static_cast<const std::uint16_t*>(p.streams.data);
            const MhcStreams of_token = {x + token * p.streams.token, 0, p.streams.stream};
            CollapseAndNorm<hc>(of_token, pre + t * hc, norm(own, 1), 0, 1);
          }
          const void* row = a.h == nullptr ? own : a.h;
          const std::int64_t from = a.h == nullptr ? 0 : token * a.hidden;
          Fp8Row(row, a.type, from, a.hidden, fp8, token);
        }
      });
}

}  // namespace birkhoff::cpu::BK_ISA
