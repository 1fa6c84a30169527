// RoPE: eight pairs at a time, in the interleaved order in which heads and table lie in memory.
#include "kernels/args/rope.h"

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/pairs.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

// (even, odd, even, ...)
BK_INLINE F32x16 Alternate(float even, float odd) {
  float t[16];
  for (int i = 0; i < 16; ++i) t[i] = i % 2 == 0 ? even : odd;
  return Load(t);
}

void RotateHead(const RopeArgs& a, std::int64_t head) {
  const std::int64_t base = head * a.dim;
  const std::int64_t still = a.dim - 2 * a.pairs;
  if (a.x != a.out) {
    ForRuns(still, [&](std::int64_t i, int n) {
      StoreRun(a.out, a.out_type, base + i, LoadRun(a.x, a.x_type, base + i, n), n);
    });
  }
  const float* table = a.table + head / a.heads * 2 * a.pairs;
  // (e, o) -> e (c, s) + o (-s, c), and with s negated e (c, -s) + o (s, c).
  const F32x16 sign_of_e = Alternate(1.0f, a.inverse ? -1.0f : 1.0f);
  const F32x16 sign_of_o = Alternate(a.inverse ? 1.0f : -1.0f, 1.0f);
  ForRuns(2 * a.pairs, [&](std::int64_t i, int n) {
    const F32x16 x = LoadRun(a.x, a.x_type, base + still + i, n);
    const F32x16 cos_sin = LoadRun(table, DType::kF32, i, n);
    const F32x16 of_e = Mul(cos_sin, sign_of_e);
    const F32x16 of_o = Mul(Swapped(cos_sin), sign_of_o);
    const F32x16 y = Fma(EvenTwice(x), of_e, Mul(OddTwice(x), of_o));
    StoreRun(a.out, a.out_type, base + still + i, y, n);
  });
}

}  // namespace

void Rope(const RopeArgs& a, const Exec& exec) {
  exec.pool->ParallelFor(a.tokens * a.heads, RowGrain(a.dim),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t h = begin; h < end; ++h) RotateHead(a, h);
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
