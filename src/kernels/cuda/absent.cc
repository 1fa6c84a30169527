// cuda/kernels.h where nvcc is not: nobody gets here, since every row refuses a device that
// FirstGpu() does not find.
#include <cstdlib>

#include "kernels/cuda/kernels.h"

namespace birkhoff::cuda {

namespace sm80 {

void MhcPost(const MhcPostArgs&, const Exec&) { std::abort(); }
void MhcCollapse(const MhcCollapseArgs&, const Exec&) { std::abort(); }
void MhcBoundary(const MhcBoundaryArgs&, const Exec&) { std::abort(); }
void MhcCoeffs(const MhcCoeffsArgs&, const Exec&) { std::abort(); }
void MhcHead(const MhcHeadArgs&, const Exec&) { std::abort(); }
std::size_t MhcBoundaryScratch(const MhcBoundaryArgs&, int) { std::abort(); }
std::size_t MhcCoeffsScratch(const MhcCoeffsArgs&, int) { std::abort(); }
std::size_t MhcHeadScratch(const MhcHeadArgs&, int) { std::abort(); }
std::size_t MhcBoundaryState(const MhcBoundaryArgs&) { std::abort(); }
std::size_t MhcCoeffsState(const MhcCoeffsArgs&) { std::abort(); }
std::size_t MhcHeadState(const MhcHeadArgs&) { std::abort(); }
void MhcBoundaryPrepare(const MhcBoundaryArgs&, const Exec&) { std::abort(); }
void MhcCoeffsPrepare(const MhcCoeffsArgs&, const Exec&) { std::abort(); }
void MhcHeadPrepare(const MhcHeadArgs&, const Exec&) { std::abort(); }

void MhcBoundaryShifted(const MhcBoundaryShiftedArgs&, const Exec&) { std::abort(); }
void MhcTail(const MhcTailArgs&, const Exec&) { std::abort(); }
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs&, int) { std::abort(); }
std::size_t MhcTailScratch(const MhcTailArgs&, int) { std::abort(); }
std::size_t MhcBoundaryShiftedState(const MhcBoundaryShiftedArgs&) { std::abort(); }
std::size_t MhcTailState(const MhcTailArgs&) { std::abort(); }
void MhcBoundaryShiftedPrepare(const MhcBoundaryShiftedArgs&, const Exec&) { std::abort(); }
void MhcTailPrepare(const MhcTailArgs&, const Exec&) { std::abort(); }

}  // namespace sm80

namespace sm90 {

void MhcBoundary(const MhcBoundaryArgs&, const Exec&) { std::abort(); }
std::size_t MhcBoundaryState(const MhcBoundaryArgs&) { std::abort(); }
void MhcBoundaryPrepare(const MhcBoundaryArgs&, const Exec&) { std::abort(); }
std::string MhcBoundaryLaunch(const MhcBoundaryArgs&) { std::abort(); }
BoundaryPlan PlanMhcBoundary(std::int64_t, std::int64_t) { std::abort(); }
void MhcBoundaryAs(const BoundaryPlan&, const MhcBoundaryArgs&, const Exec&) { std::abort(); }

}  // namespace sm90

}  // namespace birkhoff::cuda
