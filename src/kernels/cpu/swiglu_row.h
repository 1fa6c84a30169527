// SwiGLU of one row.
#pragma once

#include "kernels/args/elementwise.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu::BK_ISA {

inline void SwigluRow(const SwigluArgs& a, std::int64_t row) {
  const F32x16 limit = Set(a.limit);
  const F32x16 lower = Set(-a.limit);
  const std::int64_t base = row * a.width;
  ForRuns(a.width, [&](std::int64_t i, int n) {
    // The operand that may be NaN stands second: Min and Max return it then.
    const F32x16 gate = Min(limit, LoadRun(a.gate, a.type, base + i, n));
    const F32x16 up = Max(lower, Min(limit, LoadRun(a.up, a.type, base + i, n)));
    StoreRun(a.out, a.type, base + i, Mul(Mul(gate, Sigmoid(gate)), up), n);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
