#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void Embedding(const EmbeddingArgs& a, const Exec&) {
  const std::int64_t width = a.table.cols;
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t i = 0; i < width; ++i) {
      Put(a.out, a.out_type, t * width + i, Weight(a.table, a.ids[t], i));
    }
  }
}

}  // namespace birkhoff::ref
