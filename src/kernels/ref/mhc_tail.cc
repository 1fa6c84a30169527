#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

// The three unfused definitions one after another.
void MhcTail(const MhcTailArgs& a, const Exec& exec) {
  MhcPost({.x = a.x,
           .streams = a.streams,
           .post = a.post,
           .comb = a.comb,
           .out = a.streams_out,
           .type = a.type,
           .tokens = a.tokens,
           .hc = a.hc,
           .hidden = a.hidden,
           .layout = a.layout},
          exec);
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
  RmsNorm({.x = a.out,
           .weight = a.norm_weight,
           .out = a.out,
           .x_type = a.type,
           .out_type = a.type,
           .rows = a.tokens,
           .width = a.hidden,
           .eps = a.norm_eps},
          exec);
}

}  // namespace birkhoff::ref
