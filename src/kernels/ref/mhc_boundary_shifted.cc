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
  RmsNorm({.x = b.h,
           .weight = b.norm_weight,
           .out = b.h,
           .x_type = b.type,
           .out_type = b.type,
           .rows = b.tokens,
           .width = b.hidden,
           .eps = b.norm_eps},
          exec);
}

}  // namespace birkhoff::ref
