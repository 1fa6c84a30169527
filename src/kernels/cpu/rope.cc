// RoPE. Bound by memory: reads and writes each head once.
#include "kernels/args/rope.h"

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rope_row.h"

namespace birkhoff::cpu::BK_ISA {

void Rope(const RopeArgs& a, const Exec& exec) {
  exec.pool->ParallelFor(
      a.tokens * a.heads, RowGrain(a.dim), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t h = begin; h < end; ++h) {
          const std::int64_t token = h / a.heads;
          RotateRow(a, token, HeadOf(a, token, h % a.heads), {a.out, a.out_type, h * a.dim});
        }
      });
}

void RopeTable(const RopeTableArgs& a, const Exec& exec) {
  // A cosine and a sine in double cost about 50 ns.
  exec.pool->ParallelFor(
      a.tokens, RowGrain(256 * a.pairs), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin * a.pairs; i < end * a.pairs; ++i) {
          const std::int32_t position = a.positions[i / a.pairs];
          const double frequency = a.frequency[i % a.pairs];
          const double angle = a.precise
                                   ? position * frequency
                                   : static_cast<float>(position) * static_cast<float>(frequency);
          a.table[2 * i] = static_cast<float>(std::cos(angle));
          a.table[2 * i + 1] = static_cast<float>(std::sin(angle));
        }
      });
}

}  // namespace birkhoff::cpu::BK_ISA
