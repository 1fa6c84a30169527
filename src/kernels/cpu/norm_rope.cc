// RMSNorm and RoPE of a head in one go: two passes over a head that stays in L1.
#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/norm_rope_row.h"

namespace birkhoff::cpu::BK_ISA {

void NormRope(const NormRopeArgs& a, const Exec& exec) {
  const RopeArgs& r = a.rope;
  exec.pool->ParallelFor(
      r.tokens * r.heads, RowGrain(r.dim), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t h = begin; h < end; ++h)
          NormRopeRow(a, h / r.heads, h % r.heads, {r.out, r.out_type, h * r.dim});
      });
}

}  // namespace birkhoff::cpu::BK_ISA
