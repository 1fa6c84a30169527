// The cache entry of latent attention: a copy and a rotated head side by side. Bound by memory.
#include "base/thread_pool.h"
#include "kernels/args/norm_rope.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rope_row.h"
#include "kernels/cpu/sequences.h"

namespace birkhoff::cpu::BK_ISA {

void RopeWrite(const RopeWriteArgs& a, const Exec& exec) {
  const DType type = a.k_pe.out_type;
  const std::int64_t size = type == DType::kBF16 ? 2 : 4;
  exec.pool->ParallelFor(
      a.k_pe.tokens, RowGrain(a.latent.width), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t token = begin; token < end; ++token) {
          const Place p = Locate(a.batch, token);
          if (token < p.end - a.latent.capacity) continue;  // a later token takes this row
          const std::int64_t to = RingRow(a.latent, p, p.position) * a.latent.width;
          std::memcpy(static_cast<char*>(a.latent.data) + to * size,
                      static_cast<const char*>(a.c) + token * a.c_row * size,
                      static_cast<std::size_t>(a.c_width * size));
          RotateRow(a.k_pe, token, HeadOf(a.k_pe, token, 0), {a.latent.data, type, to + a.c_width});
        }
      });
}

}  // namespace birkhoff::cpu::BK_ISA
