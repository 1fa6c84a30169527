// mHC boundary of the delayed wiring: the boundary, its h read with the weights of the site before.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_mix.h"

namespace birkhoff::cpu::BK_ISA {

void MhcBoundaryShifted(const MhcBoundaryShiftedArgs& a, const Exec& exec) {
  WithStreams(a.boundary.hc, [&]<int hc>() { Boundary<hc>(a.boundary, a.pre, exec); });
}

}  // namespace birkhoff::cpu::BK_ISA
