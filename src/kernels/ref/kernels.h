// The definition of every op: scalar, accumulated in double, no cleverness. The last row of each
// table, the oracle of the tests and the documentation.
#pragma once

#include "base/exec.h"
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

namespace birkhoff::ref {

void Add(const AddArgs&, const Exec&);
void Attention(const AttentionArgs&, const Exec&);
void Broadcast(const BroadcastArgs&, const Exec&);
void Compress(const CompressArgs&, const Exec&);
void Concat(const ConcatArgs&, const Exec&);
void DualRmsNorm(const DualRmsNormArgs&, const Exec&);
void Embedding(const EmbeddingArgs&, const Exec&);
void Experts(const ExpertsArgs&, const Exec&);
void GatherRows(const GatherRowsArgs&, const Exec&);
void GqaAttention(const GqaAttentionArgs&, const Exec&);
void HeadLinear(const HeadLinearArgs&, const Exec&);
void IndexTopk(const IndexTopkArgs&, const Exec&);
void KvWrite(const KvWriteArgs&, const Exec&);
void Linear(const LinearArgs&, const Exec&);
void MhcBoundary(const MhcBoundaryArgs&, const Exec&);
void MhcBoundaryShifted(const MhcBoundaryShiftedArgs&, const Exec&);
void MhcCoeffs(const MhcCoeffsArgs&, const Exec&);
void MhcCollapse(const MhcCollapseArgs&, const Exec&);
void MhcHead(const MhcHeadArgs&, const Exec&);
void MhcPost(const MhcPostArgs&, const Exec&);
void MhcTail(const MhcTailArgs&, const Exec&);
void NormRope(const NormRopeArgs&, const Exec&);
void NormRopeWrite(const NormRopeWriteArgs&, const Exec&);
void Quantise(const QuantiseArgs&, const Exec&);
void RmsNorm(const RmsNormArgs&, const Exec&);
void RmsNormQuantise(const RmsNormQuantiseArgs&, const Exec&);
void Rope(const RopeArgs&, const Exec&);
void RopeTable(const RopeTableArgs&, const Exec&);
void RopeWrite(const RopeWriteArgs&, const Exec&);
void Route(const RouteArgs&, const Exec&);
void Swiglu(const SwigluArgs&, const Exec&);
void SwigluQuantise(const SwigluQuantiseArgs&, const Exec&);

}  // namespace birkhoff::ref
