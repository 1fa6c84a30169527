#include <algorithm>
#include <cstring>

#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void KvWrite(const KvWriteArgs& a, const Exec&) {
  const std::int64_t bytes = a.width * static_cast<std::int64_t>(SizeOf(a.type));
  for (std::int64_t s = 0; s < a.batch.count; ++s) {
    const std::int64_t begin = a.batch.begin[s];
    const std::int64_t end = a.batch.begin[s + 1];
    for (std::int64_t t = std::max(begin, end - a.ring.capacity); t < end; ++t) {
      const std::int64_t position = a.batch.past[s] + t - begin;
      const std::int64_t row = a.batch.slot[s] * a.ring.capacity + position % a.ring.capacity;
      std::memcpy(static_cast<std::byte*>(a.ring.data) + row * bytes,
                  static_cast<const std::byte*>(a.kv) + t * bytes, static_cast<std::size_t>(bytes));
    }
  }
}

}  // namespace birkhoff::ref
