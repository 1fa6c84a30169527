// Rotation of one head: sixteen channels of adjacent pairs at a time, in the interleaved order in
// which they and the table lie in memory; or sixteen pairs of the two halves.
#pragma once

#include "kernels/args/rope.h"
#include "kernels/cpu/pairs.h"
#include "kernels/cpu/rms_norm_row.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu::BK_ISA {

// (even, odd, even, ...)
BK_INLINE F32x16 Alternate(float even, float odd) {
  float t[16];
  for (int i = 0; i < 16; ++i) t[i] = i % 2 == 0 ? even : odd;
  return Load(t);
}

// Where a rotated head goes: element `at` of out.
struct RowOut {
  void* out = nullptr;
  DType type = DType::kBF16;
  std::int64_t at = 0;

  BK_INLINE void Run(std::int64_t i, F32x16 y, int n) const { StoreRun(out, type, at + i, y, n); }
};

inline void RotateAdjacent(const RopeArgs& a, const float* table, const NormedRow& x,
                           const RowOut& out) {
  const std::int64_t still = a.dim - 2 * a.pairs;
  // (e, o) -> e (c, s) + o (-s, c), and with s negated e (c, -s) + o (s, c).
  const F32x16 sign_of_e = Alternate(1.0f, a.inverse ? -1.0f : 1.0f);
  const F32x16 sign_of_o = Alternate(a.inverse ? 1.0f : -1.0f, 1.0f);
  ForRuns(2 * a.pairs, [&](std::int64_t i, int n) {
    const F32x16 v = x.Run(still + i, n);
    const F32x16 cos_sin = LoadRun(table, DType::kF32, i, n);
    const F32x16 of_e = Mul(cos_sin, sign_of_e);
    const F32x16 of_o = Mul(Swapped(cos_sin), sign_of_o);
    out.Run(still + i, Fma(EvenTwice(v), of_e, Mul(OddTwice(v), of_o)), n);
  });
}

inline void RotateHalves(const RopeArgs& a, const float* table, const NormedRow& x,
                         const RowOut& out) {
  const std::int64_t still = a.dim - 2 * a.pairs;
  const F32x16 sign_of_e = Set(a.inverse ? -1.0f : 1.0f);
  const F32x16 sign_of_o = Set(a.inverse ? 1.0f : -1.0f);
  ForRuns(a.pairs, [&](std::int64_t i, int n) {
    const F32x16 e = x.Run(still + i, n);
    const F32x16 o = x.Run(still + a.pairs + i, n);
    const int low = n < 8 ? n : 8;  // pairs of the first sixteen floats of the table
    F32x16 c;
    F32x16 s;
    SplitPairs(LoadRun(table, DType::kF32, 2 * i, 2 * low),
               LoadRun(table, DType::kF32, 2 * (i + low), 2 * (n - low)), &c, &s);
    out.Run(still + i, Fma(e, c, Mul(o, Mul(s, sign_of_o))), n);
    out.Run(still + a.pairs + i, Fma(e, Mul(s, sign_of_e), Mul(o, c)), n);
  });
}

// The head of a token: x with its norm, if it has one, turned by the token's row of the table.
inline void RotateRow(const RopeArgs& a, std::int64_t token, const NormedRow& x,
                      const RowOut& out) {
  const bool in_place = x.x == out.out && !x.normed;
  if (!in_place) {
    ForRuns(a.dim - 2 * a.pairs, [&](std::int64_t i, int n) { out.Run(i, x.Run(i, n), n); });
  }
  const float* table = a.table + token * 2 * a.pairs;
  if (a.pairing == RopePairing::kHalf) {
    RotateHalves(a, table, x, out);
  } else {
    RotateAdjacent(a, table, x, out);
  }
}

// A head of x as Rope reads it.
inline NormedRow HeadOf(const RopeArgs& a, std::int64_t token, std::int64_t head) {
  return {a.x, a.x_type, a.x_at(token, head)};
}

}  // namespace birkhoff::cpu::BK_ISA
