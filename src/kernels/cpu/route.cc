// Route: one pass over the choices of a token keeps the best k in order. Bound by log1p and exp.
#include "base/thread_pool.h"
#include "kernels/args/moe.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

// Scratch of a worker in floats: the choice of every expert, the score of every group.
std::int64_t WorkerFloats(const RouteArgs& a) { return RoundUp(a.experts + a.groups, 16); }

// The score of a logit, rounded once.
float Affinity(Scoring scoring, float logit) {
  const double z = logit;
  if (scoring == Scoring::kSigmoid) return static_cast<float>(1 / (1 + std::exp(-z)));
  const double above = z < 0 ? 0 : z;
  return static_cast<float>(std::sqrt(above + std::log1p(std::exp(z < 0 ? z : -z))));
}

bool RanksAbove(float a, float b) { return a > b || (b != b && a == a); }

// The best experts so far in expert[0, kept) and their choices in choice[0, kept), best first.
struct BestExperts {
  std::int32_t* expert = nullptr;
  float* choice = nullptr;
  std::int64_t k = 0;
  std::int64_t kept = 0;

  // Experts come in ascending order.
  void Offer(std::int32_t e, float c) {
    if (kept == k && !RanksAbove(c, choice[kept - 1])) return;
    if (kept < k) ++kept;
    std::int64_t i = kept - 1;
    for (; i > 0 && RanksAbove(c, choice[i - 1]); --i) {
      choice[i] = choice[i - 1];
      expert[i] = expert[i - 1];
    }
    choice[i] = c;
    expert[i] = e;
  }
};

// The sum of the two largest of n choices, n >= 2.
float SumOfTwoLargest(const float* choice, std::int64_t n) {
  float first = choice[0];
  float second = choice[1];
  if (RanksAbove(second, first)) {
    first = choice[1];
    second = choice[0];
  }
  for (std::int64_t i = 2; i < n; ++i) {
    if (RanksAbove(choice[i], first)) {
      second = first;
      first = choice[i];
    } else if (RanksAbove(choice[i], second)) {
      second = choice[i];
    }
  }
  return first + second;
}

// Whether fewer than topk_groups groups come before group g.
bool IsKept(const RouteArgs& a, const float* group_score, std::int64_t g) {
  std::int64_t before = 0;
  for (std::int64_t h = 0; h < a.groups; ++h) {
    const bool tied = !RanksAbove(group_score[g], group_score[h]);
    if (RanksAbove(group_score[h], group_score[g]) || (h < g && tied)) ++before;
  }
  return before < a.topk_groups;
}

// The k best experts in expert[0, k), best first; best_choice [k] is room for their choices.
void Choose(const RouteArgs& a, const float* logits, float* scratch, std::int32_t* expert,
            float* best_choice) {
  float* choice = scratch;
  float* group_score = scratch + a.experts;
  for (std::int64_t e = 0; e < a.experts; ++e)
    choice[e] = Affinity(a.scoring, logits[e]) + a.bias[e];
  const std::int64_t size = a.experts / a.groups;
  if (a.groups > 1) {
    for (std::int64_t g = 0; g < a.groups; ++g)
      group_score[g] = SumOfTwoLargest(choice + g * size, size);
  }
  BestExperts best = {expert, best_choice, a.k};
  for (std::int64_t g = 0; g < a.groups; ++g) {
    if (a.groups > 1 && !IsKept(a, group_score, g)) continue;
    for (std::int64_t e = g * size; e < (g + 1) * size; ++e)
      best.Offer(static_cast<std::int32_t>(e), choice[e]);
  }
}

void RouteToken(const RouteArgs& a, std::int64_t t, float* scratch) {
  const float* logits = a.logits + t * a.experts;
  std::int32_t* expert = a.expert + t * a.k;
  float* weight = a.weight + t * a.k;
  if (a.table != nullptr) {
    std::memcpy(expert, a.table + a.ids[t] * a.k, static_cast<std::size_t>(a.k) * 4);
  } else {
    Choose(a, logits, scratch, expert, weight);
  }
  float sum = 0;
  for (std::int64_t i = 0; i < a.k; ++i) {
    weight[i] = Affinity(a.scoring, logits[expert[i]]);
    sum += weight[i];
  }
  for (std::int64_t i = 0; i < a.k; ++i)
    weight[i] = (a.normalise ? weight[i] / (sum + 1e-20f) : weight[i]) * a.scale;
}

}  // namespace

void Route(const RouteArgs& a, const Exec& exec) {
  constexpr std::int64_t kGrain = 4;  // a token of 256 experts takes about 8 us
  exec.pool->ParallelFor(a.tokens, kGrain, [&](std::int64_t begin, std::int64_t end, int worker) {
    float* scratch = static_cast<float*>(exec.scratch) + worker * WorkerFloats(a);
    for (std::int64_t t = begin; t < end; ++t) RouteToken(a, t, scratch);
  });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t RouteScratch(const RouteArgs& a, int threads) {
  return static_cast<std::size_t>(BK_ISA::WorkerFloats(a) * threads) * sizeof(float);
}
#endif

}  // namespace birkhoff::cpu
