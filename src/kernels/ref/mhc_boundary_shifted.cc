#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {

void MhcBoundaryShifted(const MhcBoundaryShiftedArgs& a, const Exec& exec) {
  Boundary(a.boundary, a.pre, exec);
}

}  // namespace birkhoff::ref
