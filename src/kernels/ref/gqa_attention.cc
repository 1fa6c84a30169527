#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// One head of one query, which sees `visible` rows of the slot that begins at row `first`.
void Attend(const GqaAttentionArgs& a, std::int64_t first, std::int64_t visible, std::int64_t row) {
  const std::int64_t key_head = row % a.heads / (a.heads / a.key_heads);
  const StateRows& values = a.values.data != nullptr ? a.values : a.keys;
  const std::int64_t channel = key_head * (a.values.data != nullptr ? a.value_dim : a.dim);
  std::vector<double> e(static_cast<std::size_t>(visible));
  double top = -std::numeric_limits<double>::infinity();
  for (std::int64_t p = 0; p < visible; ++p) {
    double dot = 0;
    for (std::int64_t i = 0; i < a.dim; ++i)
      dot += Get(a.q, a.type, row * a.dim + i) *
             Get(a.keys.data, a.type, (first + p) * a.keys.width + key_head * a.dim + i);
    top = std::max(top, e[static_cast<std::size_t>(p)] = dot * a.scale);
  }
  double sum = 0;
  for (double& x : e) sum += x = std::exp(x - top);
  for (std::int64_t i = 0; i < a.value_dim; ++i) {
    double v = 0;
    for (std::int64_t p = 0; p < visible; ++p)
      v += e[static_cast<std::size_t>(p)] *
           Get(values.data, a.type, (first + p) * values.width + channel + i);
    Put(a.out, a.out_type, row * a.value_dim + i, v / sum);
  }
}

}  // namespace

void GqaAttention(const GqaAttentionArgs& a, const Exec&) {
  for (std::int64_t s = 0; s < a.batch.count; ++s) {
    for (std::int64_t t = a.batch.begin[s]; t < a.batch.begin[s + 1]; ++t) {
      const std::int64_t visible = a.batch.past[s] + t - a.batch.begin[s] + 1;
      for (std::int64_t h = 0; h < a.heads; ++h)
        Attend(a, a.batch.slot[s] * a.keys.capacity, visible, t * a.heads + h);
    }
  }
}

}  // namespace birkhoff::ref
