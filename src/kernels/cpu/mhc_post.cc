// mHC post: bound by memory, 2 hc + 1 rows per token.
#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_rows.h"

namespace birkhoff::cpu::BK_ISA {

void MhcPost(const MhcPostArgs& a, const Exec& exec) {
  WithStreams(a.hc, [&]<int hc>() {
    exec.pool->ParallelFor(a.tokens, RowGrain(hc * a.hidden),
                           [&](std::int64_t begin, std::int64_t end, int) {
                             for (std::int64_t t = begin; t < end; ++t) {
                               PostColumns<hc>(a, t, 0, a.hidden);
                             }
                           });
  });
}

}  // namespace birkhoff::cpu::BK_ISA
