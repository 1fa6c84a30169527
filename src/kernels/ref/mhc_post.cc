#include <vector>

#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {

void MhcPost(const MhcPostArgs& a, const Exec&) {
  const std::int64_t n = a.hc;
  std::vector<double> column(static_cast<std::size_t>(n));  // read before out, which may be streams
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t i = 0; i < a.hidden; ++i) {
      const double x = Get(a.x, a.type, t * (a.layout.x == 0 ? a.hidden : a.layout.x) + i);
      for (std::int64_t m = 0; m < n; ++m) {
        double v = a.post[t * n + m] * x;
        for (std::int64_t j = 0; j < n; ++j) {
          v += a.comb[(t * n + j) * n + m] * StreamAt(a, t, j, i);
        }
        column[static_cast<std::size_t>(m)] = v;
      }
      for (std::int64_t m = 0; m < n; ++m) {
        Put(a.out, a.type, (t * n + m) * a.hidden + i, column[static_cast<std::size_t>(m)]);
      }
    }
  }
}

}  // namespace birkhoff::ref
