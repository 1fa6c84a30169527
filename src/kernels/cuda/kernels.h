// The kernels for NVIDIA's tensor cores, class "mhc bf16x2". They enqueue on Exec::stream and
// return. Built without nvcc they are never reached: their table rows refuse.
//
// fn is read in packed form, made once: rounded to bf16 (hi) and what that left, rounded again
// (lo), in the order in which fragments are loaded. It stands at the front of Exec::state.
#pragma once

#include <cstddef>
#include <string>

#include "base/exec.h"
#include "kernels/args/mhc.h"
#include "kernels/cuda/sm90/mhc_boundary_plan.h"

namespace birkhoff::cuda {

namespace sm80 {

// bf16 streams, H a multiple of 8. Class "exact", unlike the rest.
void MhcPost(const MhcPostArgs&, const Exec&);
void MhcCollapse(const MhcCollapseArgs&, const Exec&);

// Any H, hc of 2, 4 or 8, bf16 streams: two launches, sums of slices through scratch.
void MhcBoundary(const MhcBoundaryArgs&, const Exec&);
void MhcBoundaryShifted(const MhcBoundaryShiftedArgs&, const Exec&);
void MhcCoeffs(const MhcCoeffsArgs&, const Exec&);
void MhcHead(const MhcHeadArgs&, const Exec&);
void MhcTail(const MhcTailArgs&, const Exec&);
std::size_t MhcBoundaryScratch(const MhcBoundaryArgs&, int);
std::size_t MhcCoeffsScratch(const MhcCoeffsArgs&, int);
std::size_t MhcHeadScratch(const MhcHeadArgs&, int);
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs&, int);
std::size_t MhcTailScratch(const MhcTailArgs&, int);
std::size_t MhcBoundaryState(const MhcBoundaryArgs&);
std::size_t MhcCoeffsState(const MhcCoeffsArgs&);
std::size_t MhcHeadState(const MhcHeadArgs&);
std::size_t MhcBoundaryShiftedState(const MhcBoundaryShiftedArgs&);
std::size_t MhcTailState(const MhcTailArgs&);
void MhcBoundaryPrepare(const MhcBoundaryArgs&, const Exec&);
void MhcCoeffsPrepare(const MhcCoeffsArgs&, const Exec&);
void MhcHeadPrepare(const MhcHeadArgs&, const Exec&);
void MhcBoundaryShiftedPrepare(const MhcBoundaryShiftedArgs&, const Exec&);
void MhcTailPrepare(const MhcTailArgs&, const Exec&);

}  // namespace sm80

namespace sm90 {

// One launch; hc = 4 and H of 4096, 5120 or 7168. Pointers are aligned to 16 bytes.
//
// Order    A launch may begin while the one before it on the stream ends. What it reads before that
//          end are parameters alone: packed fn, base, scale and norm_weight must not be written by
//          the launch directly before it (prepare() ends in a memset for that reason).
//          Exec::state holds counters: one run at a time.
void MhcBoundary(const MhcBoundaryArgs&, const Exec&);
std::size_t MhcBoundaryState(const MhcBoundaryArgs&);
void MhcBoundaryPrepare(const MhcBoundaryArgs&, const Exec&);

std::string MhcBoundaryLaunch(const MhcBoundaryArgs&);

// The launch that MhcBoundary() makes, and MhcBoundary() with another one: the bits stay.
BoundaryPlan PlanMhcBoundary(std::int64_t hidden, std::int64_t tokens);
void MhcBoundaryAs(const BoundaryPlan&, const MhcBoundaryArgs&, const Exec&);

}  // namespace sm90

}  // namespace birkhoff::cuda
