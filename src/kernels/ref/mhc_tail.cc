#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

// The three unfused definitions one after another.
void MhcTail(const MhcTailArgs& a, const Exec& exec) {
  MhcPost(PostOf(a), exec);
  MhcHead({.streams = a.streams_out,
           .fn = a.fn,
           .base = a.base,
           .scale = a.scale,
           .out = a.out,
           .type = a.type,
           .tokens = a.tokens,
           .hc = a.hc,
           .hidden = a.hidden,
           .rms_eps = a.rms_eps,
           .eps = a.eps},
          exec);
  RmsNorm(NormInPlace(a.out, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps), exec);
}

}  // namespace birkhoff::ref
