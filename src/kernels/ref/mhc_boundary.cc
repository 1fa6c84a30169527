#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

// The four unfused definitions one after another. Their rounding to `type` in between is the
// contract's.
void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) {
  MhcPost(PostOf(a), exec);
  MhcCoeffs({.streams = a.streams_out,
             .site = a.site,
             .pre = a.pre_out,
             .post = a.post_out,
             .comb = a.comb_out,
             .type = a.type,
             .tokens = a.tokens,
             .hc = a.hc,
             .hidden = a.hidden},
            exec);
  MhcCollapse({.streams = a.streams_out,
               .pre = a.pre_out,
               .out = a.h,
               .type = a.type,
               .tokens = a.tokens,
               .hc = a.hc,
               .hidden = a.hidden},
              exec);
  if (a.norm_weight == nullptr) return;
  RmsNorm(NormInPlace(a.h, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps), exec);
}

}  // namespace birkhoff::ref
