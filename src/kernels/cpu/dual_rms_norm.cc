// Two RMSNorms under one hand-over to the threads. Bound by memory like each of them.
#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rms_norm_row.h"

namespace birkhoff::cpu::BK_ISA {

void DualRmsNorm(const DualRmsNormArgs& a, const Exec& exec) {
  const std::int64_t grain = RowGrain((a.first.width + a.second.width) / 2);
  exec.pool->ParallelFor(2 * a.first.rows, grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) NormRow(i % 2 == 0 ? a.first : a.second, i / 2);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
