#include <vector>

#include "kernels/ref/fp8.h"
#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {

// The unfused definitions one after another. Their rounding to `type` in between is the contract's.
void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) { Boundary(a, a.pre_out, exec); }

void Boundary(const MhcBoundaryArgs& a, const float* pre, const Exec& exec) {
  std::vector<std::uint16_t> own(a.h == nullptr ? static_cast<std::size_t>(a.tokens * a.hidden)
                                                : 0);
  void* h = a.h == nullptr ? own.data() : a.h;
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
               .pre = pre,
               .out = h,
               .type = a.type,
               .tokens = a.tokens,
               .hc = a.hc,
               .hidden = a.hidden},
              exec);
  if (a.norm_weight != nullptr)
    RmsNorm(NormInPlace(h, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps), exec);
  for (std::int64_t t = 0; t < a.tokens && a.fp8.format.group != 0; ++t)
    PutFp8(h, a.type, t * a.hidden, a.fp8, t, a.hidden);
}

}  // namespace birkhoff::ref
