#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void Linear(const LinearArgs& a, const Exec&) {
  const std::int64_t width = a.k();
  std::vector<double> w(static_cast<std::size_t>(width));
  for (std::int64_t n = 0; n < a.w.rows; ++n) {
    for (std::int64_t k = 0; k < width; ++k) w[static_cast<std::size_t>(k)] = Weight(a.w, n, k);
    const std::int64_t group = n / a.n();
    for (std::int64_t m = 0; m < a.rows; ++m) {
      const std::int64_t x = (m * a.groups + group) * width;
      double sum = 0;
      for (std::int64_t k = 0; k < width; ++k) {
        sum += Get(a.x, a.x_type, x + k) * w[static_cast<std::size_t>(k)];
      }
      Put(a.out, a.out_type, m * a.w.rows + n, sum);
    }
  }
}

}  // namespace birkhoff::ref
