// RMSNorm. Bound by memory: reads and writes each row once from L2 or DRAM.
#include "kernels/args/rms_norm.h"

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rms_norm_row.h"

namespace birkhoff::cpu::BK_ISA {

void RmsNorm(const RmsNormArgs& a, const Exec& exec) {
  const std::int64_t grain =
      1 + 16384 / a.width;  // about 4 us of work: less costs more to hand over than to do
  exec.pool->ParallelFor(a.rows, grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) NormRow(a, r);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
