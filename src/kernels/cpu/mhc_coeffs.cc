// mHC coefficients. One token: bound by reading fn, 24 hc H bytes for hc = 4. Many tokens: 12
// operations per byte of streams, about balanced.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_blocks.h"
#include "kernels/cpu/mhc_coefficients.h"
#include "kernels/cpu/mhc_rows.h"

namespace birkhoff::cpu::BK_ISA {

void MhcCoeffs(const MhcCoeffsArgs& a, const Exec& exec) {
  const auto hc = static_cast<int>(a.hc);
  const MhcProjection p = {StreamsOf(a), a.type == DType::kBF16, a.site.fn, hc * (hc + 2), hc,
                           a.hidden};
  WithStreams(a.hc, [&]<int n>() {
    ForTokenBlocks(
        *exec.pool, p, a.tokens,
        [&](std::int64_t first, int tokens, int s, MhcPartial* partial) {
          ProjectSlice(p, first, tokens, s, partial);
        },
        [&](std::int64_t first, int tokens, const MhcPartial* partials, int) {
          MhcCoefficients<n>(p, a.site, partials, tokens, a.pre + first * n, a.post + first * n,
                             a.comb + first * n * n);
        });
  });
}

}  // namespace birkhoff::cpu::BK_ISA
