// mHC boundary: post, coefficients, collapse and norm of a block of tokens while its new streams
// are in cache. A slice mixes its own columns right before it projects them.
//
// Bytes per token from memory, bf16 and hc = 4: 20 H beside fn, against 38 H for the four kernels.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_mix.h"

namespace birkhoff::cpu::BK_ISA {

void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) {
  WithStreams(a.hc, [&]<int hc>() { Boundary<hc>(a, nullptr, exec); });
}

}  // namespace birkhoff::cpu::BK_ISA
