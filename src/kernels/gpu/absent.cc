// gpu/kernels.h where no GPU compiler is: nobody gets here, since every row refuses a device that
// FirstGpu() does not find.
#include <cstdlib>

#include "kernels/gpu/kernels.h"

namespace birkhoff::gpu {

void DualRmsNorm(const DualRmsNormArgs&, const Exec&) { std::abort(); }
void MhcBoundary(const MhcBoundaryArgs&, const Exec&) { std::abort(); }
void MhcCoeffs(const MhcCoeffsArgs&, const Exec&) { std::abort(); }
void MhcCollapse(const MhcCollapseArgs&, const Exec&) { std::abort(); }
void MhcHead(const MhcHeadArgs&, const Exec&) { std::abort(); }
void MhcPost(const MhcPostArgs&, const Exec&) { std::abort(); }
void MhcBoundaryShifted(const MhcBoundaryShiftedArgs&, const Exec&) { std::abort(); }
void MhcTail(const MhcTailArgs&, const Exec&) { std::abort(); }
void NormRope(const NormRopeArgs&, const Exec&) { std::abort(); }
void NormRopeWrite(const NormRopeWriteArgs&, const Exec&) { std::abort(); }
void RmsNorm(const RmsNormArgs&, const Exec&) { std::abort(); }
void Rope(const RopeArgs&, const Exec&) { std::abort(); }
void RopeWrite(const RopeWriteArgs&, const Exec&) { std::abort(); }
void Quantise(const QuantiseArgs&, const Exec&) { std::abort(); }
void RmsNormQuantise(const RmsNormQuantiseArgs&, const Exec&) { std::abort(); }
void SwigluQuantise(const SwigluQuantiseArgs&, const Exec&) { std::abort(); }
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs&, int) { std::abort(); }
std::size_t MhcTailScratch(const MhcTailArgs&, int) { std::abort(); }
std::size_t MhcBoundaryScratch(const MhcBoundaryArgs&, int) { std::abort(); }
std::size_t MhcCoeffsScratch(const MhcCoeffsArgs&, int) { std::abort(); }
std::size_t MhcHeadScratch(const MhcHeadArgs&, int) { std::abort(); }

}  // namespace birkhoff::gpu
