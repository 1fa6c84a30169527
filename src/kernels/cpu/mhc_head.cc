// mHC head: projection to one weight per stream, then the weighted sum. Reads fn, 4 hc^2 H bytes,
// and the streams, the second time from L2.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_blocks.h"
#include "kernels/cpu/mhc_coefficients.h"
#include "kernels/cpu/mhc_rows.h"

namespace birkhoff::cpu::BK_ISA {

void MhcHead(const MhcHeadArgs& a, const Exec& exec) {
  const auto hc = static_cast<int>(a.hc);
  const MhcProjection p = {StreamsOf(a), a.type == DType::kBF16, a.fn, hc, hc, a.hidden};
  WithStreams(a.hc, [&]<int n>() {
    ForTokenBlocks(
        *exec.pool, p, a.tokens,
        [&](std::int64_t first, int tokens, int s, MhcPartial* partial) {
          ProjectSlice(p, first, tokens, s, partial);
        },
        [&](std::int64_t first, int tokens, const MhcPartial* partials, int) {
          float pre[kMhcBlock * n];
          MhcHeadWeights<n>(p, partials, a.base, a.scale, a.rms_eps, a.eps, tokens, pre);
          for (int t = 0; t < tokens; ++t) {
            CollapseRow<n>(p.streams, pre + t * n, a.out, a.type, first + t, a.hidden);
          }
        });
  });
}

}  // namespace birkhoff::cpu::BK_ISA
