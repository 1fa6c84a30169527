#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void RmsNorm(const RmsNormArgs& a, const Exec&) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    double sum = 0;
    for (std::int64_t i = 0; i < a.width; ++i) {
      const double x = Get(a.x, a.x_type, r * a.x_step() + i);
      sum += x * x;
    }
    const double rs = 1.0 / std::sqrt(sum / static_cast<double>(a.width) + a.eps);
    for (std::int64_t i = 0; i < a.width; ++i) {
      const double w = a.weight != nullptr ? a.weight[i] : 1.0;
      Put(a.out, a.out_type, r * a.width + i, Get(a.x, a.x_type, r * a.x_step() + i) * rs * w);
    }
  }
}

void DualRmsNorm(const DualRmsNormArgs& a, const Exec& exec) {
  RmsNorm(a.first, exec);
  RmsNorm(a.second, exec);
}

}  // namespace birkhoff::ref
