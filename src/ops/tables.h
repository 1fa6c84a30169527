// The kernel table of every op, for those who want more than the selected row: tests, verify,
// bench, explain.
#pragma once

#include <span>

#include "dispatch/kernel.h"
#include "kernels/args/attention.h"
#include "kernels/args/elementwise.h"
#include "kernels/args/embedding.h"
#include "kernels/args/gqa_attention.h"
#include "kernels/args/head_linear.h"
#include "kernels/args/linear.h"
#include "kernels/args/mhc.h"
#include "kernels/args/moe.h"
#include "kernels/args/norm_rope.h"
#include "kernels/args/quantise.h"
#include "kernels/args/rms_norm.h"
#include "kernels/args/rope.h"

namespace birkhoff::ops {

std::span<const Kernel<AddArgs>> AddKernels();
std::span<const Kernel<AttentionArgs>> AttentionKernels();
std::span<const Kernel<BroadcastArgs>> BroadcastKernels();
std::span<const Kernel<CompressArgs>> CompressKernels();
std::span<const Kernel<ConcatArgs>> ConcatKernels();
std::span<const Kernel<DualRmsNormArgs>> DualRmsNormKernels();
std::span<const Kernel<EmbeddingArgs>> EmbeddingKernels();
std::span<const Kernel<ExpertsArgs>> ExpertsKernels();
std::span<const Kernel<GatherRowsArgs>> GatherRowsKernels();
std::span<const Kernel<GqaAttentionArgs>> GqaAttentionKernels();
std::span<const Kernel<HeadLinearArgs>> HeadLinearKernels();
std::span<const Kernel<IndexTopkArgs>> IndexTopkKernels();
std::span<const Kernel<KvWriteArgs>> KvWriteKernels();
std::span<const Kernel<LinearArgs>> LinearKernels();
std::span<const Kernel<MhcBoundaryArgs>> MhcBoundaryKernels();
std::span<const Kernel<MhcBoundaryShiftedArgs>> MhcBoundaryShiftedKernels();
std::span<const Kernel<MhcCoeffsArgs>> MhcCoeffsKernels();
std::span<const Kernel<MhcCollapseArgs>> MhcCollapseKernels();
std::span<const Kernel<MhcHeadArgs>> MhcHeadKernels();
std::span<const Kernel<MhcPostArgs>> MhcPostKernels();
std::span<const Kernel<MhcTailArgs>> MhcTailKernels();
std::span<const Kernel<NormRopeArgs>> NormRopeKernels();
std::span<const Kernel<NormRopeWriteArgs>> NormRopeWriteKernels();
std::span<const Kernel<QuantiseArgs>> QuantiseKernels();
std::span<const Kernel<RmsNormArgs>> RmsNormKernels();
std::span<const Kernel<RmsNormQuantiseArgs>> RmsNormQuantiseKernels();
std::span<const Kernel<RopeArgs>> RopeKernels();
std::span<const Kernel<RopeTableArgs>> RopeTableKernels();
std::span<const Kernel<RopeWriteArgs>> RopeWriteKernels();
std::span<const Kernel<RouteArgs>> RouteKernels();
std::span<const Kernel<SwigluArgs>> SwigluKernels();
std::span<const Kernel<SwigluQuantiseArgs>> SwigluQuantiseKernels();

}  // namespace birkhoff::ops
