#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {

void MhcCollapse(const MhcCollapseArgs& a, const Exec&) {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t i = 0; i < a.hidden; ++i) {
      double v = 0;
      for (std::int64_t j = 0; j < a.hc; ++j) {
        v += a.pre[t * a.hc + j] * StreamAt(a, t, j, i);
      }
      Put(a.out, a.type, t * a.hidden + i, v);
    }
  }
}

}  // namespace birkhoff::ref
