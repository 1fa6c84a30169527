#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void HeadLinear(const HeadLinearArgs& a, const Exec&) {
  for (std::int64_t row = 0; row < a.tokens * a.heads; ++row) {
    const WeightMatrix& w = a.w[row % a.heads];
    for (std::int64_t n = 0; n < a.n(); ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < a.k(); ++k)
        sum += Get(a.x, a.x_type, row * a.x_row + k) *
               (a.transposed ? Weight(w, k, n) : Weight(w, n, k));
      Put(a.out, a.out_type, row * a.n() + n, sum);
    }
  }
}

}  // namespace birkhoff::ref
