#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// sqrt(softplus(z)) as the f32 that both the choice and the weights are made of.
float Affinity(double z) {
  return static_cast<float>(std::sqrt((z < 0 ? 0 : z) + std::log1p(std::exp(-std::abs(z)))));
}

bool RanksAbove(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

// The best expert that is not among the first `taken` of `chosen`.
std::int32_t NextBest(const RouteArgs& a, const float* logits, const std::int32_t* chosen,
                      std::int64_t taken) {
  std::int32_t best = -1;
  float best_score = 0;
  for (std::int32_t e = 0; e < a.experts; ++e) {
    bool free = true;
    for (std::int64_t i = 0; i < taken; ++i) free = free && chosen[i] != e;
    const float score = Affinity(logits[e]) + a.bias[e];
    if (!free || (best >= 0 && !RanksAbove(score, best_score))) continue;
    best = e;
    best_score = score;
  }
  return best;
}

}  // namespace

void Route(const RouteArgs& a, const Exec&) {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const float* logits = a.logits + t * a.experts;
    std::int32_t* expert = a.expert + t * a.k;
    double sum = 0;
    for (std::int64_t i = 0; i < a.k; ++i) {
      expert[i] = a.table != nullptr ? a.table[a.ids[t] * a.k + i] : NextBest(a, logits, expert, i);
      sum += Affinity(logits[expert[i]]);
    }
    for (std::int64_t i = 0; i < a.k; ++i) {
      const double p = Affinity(logits[expert[i]]);
      a.weight[t * a.k + i] = static_cast<float>(p / (sum + 1e-20) * a.scale);
    }
  }
}

}  // namespace birkhoff::ref
