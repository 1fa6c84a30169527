// mHC tail: post, head and final norm of a block of tokens while its new streams are in cache.
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/mhc_mix.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

template <int hc>
void Tail(const MhcTailArgs& a, ThreadPool& pool) {
  const MhcProjection p = {
      {a.streams_out, hc * a.hidden, a.hidden}, a.type == DType::kBF16, a.fn, hc, hc, a.hidden};
  const RmsNormArgs norm =
      NormInPlace(a.out, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps);
  MixAndProject<hc>(
      pool, p, PostOf(a), [&](std::int64_t first, int tokens, const MhcPartial* partials, int) {
        float pre[kMhcBlock * hc];
        MhcHeadWeights<hc>(p, partials, a.base, a.scale, a.rms_eps, a.eps, tokens, pre);
        CollapseAndNorm<hc>(p.streams, pre, norm, first, tokens);
      });
}

}  // namespace

void MhcTail(const MhcTailArgs& a, const Exec& exec) {
  WithStreams(a.hc, [&]<int hc>() { Tail<hc>(a, *exec.pool); });
}

}  // namespace birkhoff::cpu::BK_ISA
