// The entry of an attention: heads of q and k normed and turned, k and v to their rings. Bound by
// memory.
#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/norm_rope_row.h"
#include "kernels/cpu/sequences.h"

namespace birkhoff::cpu::BK_ISA {

void NormRopeWrite(const NormRopeWriteArgs& a, const Exec& exec) {
  const RopeArgs& q = a.q.rope;
  const RopeArgs& k = a.k.rope;
  const std::int64_t size = k.out_type == DType::kBF16 ? 2 : 4;
  // Of a token: its heads of q, of k, and of v.
  const std::int64_t rows = q.heads + 2 * k.heads;
  exec.pool->ParallelFor(
      q.tokens * rows, RowGrain(k.dim), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t token = i / rows;
          const std::int64_t row = i % rows;
          if (row < q.heads) {
            NormRopeRow(a.q, token, row, {q.out, q.out_type, (token * q.heads + row) * q.dim});
            continue;
          }
          const Place p = Locate(a.batch, token);
          if (token < p.end - a.keys.capacity) continue;  // a later token takes this row
          const bool is_key = row < q.heads + k.heads;
          const std::int64_t head = (row - q.heads) % k.heads;
          const std::int64_t to = RingRow(a.keys, p, p.position) * a.keys.width + head * k.dim;
          if (is_key) {
            NormRopeRow(a.k, token, head, {a.keys.data, k.out_type, to});
          } else {
            std::memcpy(static_cast<char*>(a.values.data) + to * size,
                        static_cast<const char*>(a.v) + (token * a.v_row + head * k.dim) * size,
                        static_cast<std::size_t>(k.dim * size));
          }
        }
      });
}

}  // namespace birkhoff::cpu::BK_ISA
