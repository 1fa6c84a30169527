#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

double Score(const IndexTopkArgs& a, std::int64_t t, std::int64_t key) {
  double score = 0;
  for (std::int64_t h = 0; h < a.heads; ++h) {
    double dot = 0;
    for (std::int64_t i = 0; i < a.dim; ++i) {
      dot += Get(a.q, a.type, (t * a.heads + h) * a.dim + i) *
             Get(a.keys.data, a.type, key * a.dim + i);
    }
    const double relu = dot < 0 ? 0 : dot;  // keeps a NaN
    score += a.weight[t * a.heads + h] * static_cast<double>(a.scale) * relu;
  }
  return score;
}

}  // namespace

void IndexTopk(const IndexTopkArgs& a, const Exec&) {
  for (std::int64_t s = 0; s < a.batch.count; ++s) {
    for (std::int64_t t = a.batch.begin[s]; t < a.batch.begin[s + 1]; ++t) {
      const std::int64_t visible = (a.batch.past[s] + t - a.batch.begin[s] + 1) / a.ratio;
      std::vector<double> score(static_cast<std::size_t>(visible));
      for (std::int64_t w = 0; w < visible; ++w)
        score[static_cast<std::size_t>(w)] = Score(a, t, a.batch.slot[s] * a.keys.capacity + w);
      std::vector<std::int32_t> order(score.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int32_t x, std::int32_t y) {
        const double sx = score[static_cast<std::size_t>(x)];
        const double sy = score[static_cast<std::size_t>(y)];
        return std::isnan(sy) ? !std::isnan(sx) : sx > sy;
      });
      const auto kept = order.begin() + std::min(a.topk, visible);
      std::sort(order.begin(), kept);
      std::copy(order.begin(), kept, a.selected + t * a.topk);
    }
  }
}

}  // namespace birkhoff::ref
