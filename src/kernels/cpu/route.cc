// Route: one pass over the experts of a token keeps the best k in order. Bound by log1p and exp.
#include "base/thread_pool.h"
#include "kernels/args/moe.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

// sqrt(softplus(z)), rounded once.
float Affinity(float logit) {
  const double z = logit;
  const double above = z < 0 ? 0 : z;
  return static_cast<float>(std::sqrt(above + std::log1p(std::exp(z < 0 ? z : -z))));
}

bool RanksAbove(float a, float b) { return a > b || (b != b && a == a); }

// The k best experts in expert[0, k) and their scores in score[0, k), best first.
void ChooseBest(const RouteArgs& a, const float* logits, std::int32_t* expert, float* score) {
  std::int64_t kept = 0;
  for (std::int32_t e = 0; e < a.experts; ++e) {
    const float s = Affinity(logits[e]) + a.bias[e];
    if (kept == a.k && !RanksAbove(s, score[kept - 1])) continue;
    if (kept < a.k) ++kept;
    std::int64_t i = kept - 1;
    for (; i > 0 && RanksAbove(s, score[i - 1]); --i) {
      score[i] = score[i - 1];
      expert[i] = expert[i - 1];
    }
    score[i] = s;
    expert[i] = e;
  }
}

void RouteToken(const RouteArgs& a, std::int64_t t) {
  const float* logits = a.logits + t * a.experts;
  std::int32_t* expert = a.expert + t * a.k;
  float* weight = a.weight + t * a.k;
  if (a.table != nullptr) {
    std::memcpy(expert, a.table + a.ids[t] * a.k, static_cast<std::size_t>(a.k) * 4);
  } else {
    ChooseBest(a, logits, expert, weight);
  }
  float sum = 0;
  for (std::int64_t i = 0; i < a.k; ++i) {
    weight[i] = Affinity(logits[expert[i]]);
    sum += weight[i];
  }
  for (std::int64_t i = 0; i < a.k; ++i) weight[i] = weight[i] / (sum + 1e-20f) * a.scale;
}

}  // namespace

void Route(const RouteArgs& a, const Exec& exec) {
  constexpr std::int64_t kGrain = 4;  // a token of 256 experts takes about 8 us
  exec.pool->ParallelFor(a.tokens, kGrain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t t = begin; t < end; ++t) RouteToken(a, t);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
