#include <algorithm>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

double Rounded(double v, DType type) {
  const auto f = static_cast<float>(v);
  return type == DType::kF32 ? f : static_cast<float>(bf16(f));
}

// Element j of the hidden layer of `expert` for row x.
double Hidden(const ExpertsArgs& a, std::int64_t t, std::int32_t expert, double weight,
              std::int64_t j) {
  double gate = 0;
  double up = 0;
  for (std::int64_t c = 0; c < a.hidden(); ++c) {
    const double x = Get(a.x, a.type, t * a.hidden() + c);
    gate += x * Weight(a.w1[expert], j, c);
    up += x * Weight(a.w3[expert], j, c);
  }
  const double limit = a.limit;
  if (gate > limit) gate = limit;
  if (up > limit) up = limit;
  if (up < -limit) up = -limit;
  return Rounded(gate / (1 + std::exp(-gate)) * up * weight, a.type);
}

}  // namespace

void Experts(const ExpertsArgs& a, const Exec&) {
  std::vector<double> hidden(static_cast<std::size_t>(a.width()));
  std::vector<double> sum(static_cast<std::size_t>(a.hidden()));
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    std::fill(sum.begin(), sum.end(), 0);
    for (std::int64_t i = t * a.k; i < (t + 1) * a.k; ++i) {
      const std::int32_t expert = a.expert[i];
      for (std::int64_t j = 0; j < a.width(); ++j) {
        hidden[static_cast<std::size_t>(j)] = Hidden(a, t, expert, a.weight[i], j);
      }
      for (std::int64_t c = 0; c < a.hidden(); ++c) {
        for (std::int64_t j = 0; j < a.width(); ++j) {
          sum[static_cast<std::size_t>(c)] +=
              hidden[static_cast<std::size_t>(j)] * Weight(a.w2[expert], c, j);
        }
      }
    }
    for (std::int64_t c = 0; c < a.hidden(); ++c) {
      a.out[t * a.hidden() + c] = static_cast<float>(sum[static_cast<std::size_t>(c)]);
    }
  }
}

}  // namespace birkhoff::ref
