// The portable GPU kernels, written for CUDA and HIP (so far compiled by nvcc alone): right for any
// shape; those of mHC have no target for speed. They enqueue on Exec::stream and return. Built
// without a GPU compiler they are never reached: their table rows refuse.
#pragma once

#include <cstddef>

#include "base/exec.h"
#include "kernels/args/mhc.h"
#include "kernels/args/norm_rope.h"
#include "kernels/args/quantise.h"
#include "kernels/args/rms_norm.h"
#include "kernels/args/rope.h"

namespace birkhoff::gpu {

void DualRmsNorm(const DualRmsNormArgs&, const Exec&);
void MhcBoundary(const MhcBoundaryArgs&, const Exec&);
void MhcBoundaryShifted(const MhcBoundaryShiftedArgs&, const Exec&);
void MhcCoeffs(const MhcCoeffsArgs&, const Exec&);
void MhcCollapse(const MhcCollapseArgs&, const Exec&);
void MhcHead(const MhcHeadArgs&, const Exec&);
void MhcPost(const MhcPostArgs&, const Exec&);
void MhcTail(const MhcTailArgs&, const Exec&);
void NormRope(const NormRopeArgs&, const Exec&);
void NormRopeWrite(const NormRopeWriteArgs&, const Exec&);
void RmsNorm(const RmsNormArgs&, const Exec&);
void Rope(const RopeArgs&, const Exec&);
void RopeWrite(const RopeWriteArgs&, const Exec&);
void Quantise(const QuantiseArgs&, const Exec&);
void RmsNormQuantise(const RmsNormQuantiseArgs&, const Exec&);
void SwigluQuantise(const SwigluQuantiseArgs&, const Exec&);

std::size_t MhcBoundaryScratch(const MhcBoundaryArgs&, int);
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs&, int);
std::size_t MhcCoeffsScratch(const MhcCoeffsArgs&, int);
std::size_t MhcHeadScratch(const MhcHeadArgs&, int);
std::size_t MhcTailScratch(const MhcTailArgs&, int);

}  // namespace birkhoff::gpu
