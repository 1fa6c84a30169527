// RMSNorm and RoPE of one head.
#pragma once

#include "kernels/args/norm_rope.h"
#include "kernels/cpu/rope_row.h"

namespace birkhoff::cpu::BK_ISA {

inline void NormRopeRow(const NormRopeArgs& a, std::int64_t token, std::int64_t head,
                        const RowOut& out) {
  NormedRow x = HeadOf(a.rope, token, head);
  x.rs = Set(InverseRms(x.x, x.type, x.at, a.rope.dim, a.eps));
  x.normed = true;
  x.weight = a.weight;
  RotateRow(a.rope, token, x, out);
}

}  // namespace birkhoff::cpu::BK_ISA
