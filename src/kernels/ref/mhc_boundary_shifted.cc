#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

// The boundary, whose h is then read again with the weights of the site before.
void MhcBoundaryShifted(const MhcBoundaryShiftedArgs& a, const Exec& exec) {
  const MhcBoundaryArgs& b = a.boundary;
  MhcBoundary(b, exec);
  MhcCollapse({.streams = b.streams_out,
               .pre = a.pre,
               .out = b.h,
               .type = b.type,
               .tokens = b.tokens,
               .hc = b.hc,
               .hidden = b.hidden},
              exec);
  if (b.norm_weight == nullptr) return;
  RmsNorm(NormInPlace(b.h, b.norm_weight, b.type, b.tokens, b.hidden, b.norm_eps), exec);
}

}  // namespace birkhoff::ref
