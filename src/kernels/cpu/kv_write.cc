// Window keys to the ring: a copy of rows, bound by memory.
#include "base/thread_pool.h"
#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/sequences.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

void KvWrite(const KvWriteArgs& a, const Exec& exec) {
  if (a.batch.count == 0) return;
  const std::int64_t bytes = a.width * (a.type == DType::kBF16 ? 2 : 4);
  const std::int64_t grain = 1 + 65536 / bytes;  // a few us of copying
  exec.pool->ParallelFor(
      a.batch.begin[a.batch.count], grain, [&](std::int64_t first, std::int64_t last, int) {
        for (std::int64_t t = first; t < last; ++t) {
          const Place p = Locate(a.batch, t);
          if (t < p.end - a.ring.capacity) continue;  // a later token takes this row
          std::memcpy(static_cast<char*>(a.ring.data) + RingRow(a.ring, p, p.position) * bytes,
                      static_cast<const char*>(a.kv) + t * bytes, static_cast<std::size_t>(bytes));
        }
      });
}

}  // namespace birkhoff::cpu::BK_ISA
