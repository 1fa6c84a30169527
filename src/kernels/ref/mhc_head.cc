#include <vector>

#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {

void MhcHead(const MhcHeadArgs& a, const Exec&) {
  std::vector<double> p(static_cast<std::size_t>(a.hc));
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t j = 0; j < a.hc; ++j) {
      const double m = MhcMix(a, t, a.fn, j, a.rms_eps);
      p[static_cast<std::size_t>(j)] = Sigmoid(m * a.scale[0] + a.base[j]) + a.eps;
    }
    for (std::int64_t i = 0; i < a.hidden; ++i) {
      double v = 0;
      for (std::int64_t j = 0; j < a.hc; ++j) {
        v += p[static_cast<std::size_t>(j)] * StreamAt(a, t, j, i);
      }
      Put(a.out, a.type, t * a.hidden + i, v);
    }
  }
}

}  // namespace birkhoff::ref
