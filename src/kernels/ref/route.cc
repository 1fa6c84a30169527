#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// The f32 that both the choice and the weights are made of.
float Affinity(Scoring scoring, double z) {
  if (scoring == Scoring::kSigmoid) return static_cast<float>(1 / (1 + std::exp(-z)));
  return static_cast<float>(std::sqrt((z < 0 ? 0 : z) + std::log1p(std::exp(-std::abs(z)))));
}

bool RanksAbove(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

// The indices of the n best of `scores`, best first.
std::vector<std::int32_t> Best(const std::vector<float>& scores, std::int64_t n) {
  std::vector<std::int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t i, std::int32_t j) {
    return RanksAbove(scores[static_cast<std::size_t>(i)], scores[static_cast<std::size_t>(j)]);
  });
  order.resize(static_cast<std::size_t>(n));
  return order;
}

std::vector<std::int32_t> Choose(const RouteArgs& a, const float* logits) {
  std::vector<float> choice;
  for (std::int64_t e = 0; e < a.experts; ++e)
    choice.push_back(Affinity(a.scoring, logits[e]) + a.bias[e]);
  if (a.groups == 1) return Best(choice, a.k);

  const std::int64_t size = a.experts / a.groups;
  std::vector<float> group_score;
  for (auto first = choice.begin(); first != choice.end(); first += size) {
    const std::vector<float> group(first, first + size);
    const std::vector<std::int32_t> two = Best(group, 2);
    group_score.push_back(group[static_cast<std::size_t>(two[0])] +
                          group[static_cast<std::size_t>(two[1])]);
  }
  // The kept experts in ascending order, so that ties go to the lower one.
  std::vector<std::int32_t> kept = Best(group_score, a.topk_groups);
  std::sort(kept.begin(), kept.end());
  std::vector<std::int32_t> experts;
  std::vector<float> of_kept;
  for (const std::int32_t g : kept) {
    for (std::int64_t e = g * size; e < (g + 1) * size; ++e) {
      experts.push_back(static_cast<std::int32_t>(e));
      of_kept.push_back(choice[static_cast<std::size_t>(e)]);
    }
  }
  std::vector<std::int32_t> chosen = Best(of_kept, a.k);
  for (std::int32_t& i : chosen) i = experts[static_cast<std::size_t>(i)];
  return chosen;
}

}  // namespace

void Route(const RouteArgs& a, const Exec&) {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const float* logits = a.logits + t * a.experts;
    std::int32_t* expert = a.expert + t * a.k;
    if (a.table != nullptr) {
      std::copy_n(a.table + a.ids[t] * a.k, a.k, expert);
    } else {
      const std::vector<std::int32_t> chosen = Choose(a, logits);
      std::copy(chosen.begin(), chosen.end(), expert);
    }
    double sum = 0;
    for (std::int64_t i = 0; i < a.k; ++i) sum += Affinity(a.scoring, logits[expert[i]]);
    for (std::int64_t i = 0; i < a.k; ++i) {
      const double p = Affinity(a.scoring, logits[expert[i]]);
      const double share = a.normalise ? p / (sum + 1e-20) : p;
      a.weight[t * a.k + i] = static_cast<float>(share * a.scale);
    }
  }
}

}  // namespace birkhoff::ref
