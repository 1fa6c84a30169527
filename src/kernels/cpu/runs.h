// Rows of any width in runs of sixteen, the last one shorter.
#pragma once

#include "birkhoff/dtype.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

// Elements [i, i + n) of an array, n in [0, 16]; the lanes behind them are +0.
BK_INLINE F32x16 LoadRun(const void* base, DType type, std::int64_t i, int n) {
  const bool is_bf16 = type == DType::kBF16;
  return n == 16 ? LoadAs(base, is_bf16, i) : LoadAsN(base, is_bf16, i, n);
}
BK_INLINE void StoreRun(void* base, DType type, std::int64_t i, F32x16 a, int n) {
  const bool is_bf16 = type == DType::kBF16;
  if (n == 16) {
    StoreAs(base, is_bf16, i, a);
  } else {
    StoreAsN(base, is_bf16, i, a, n);
  }
}

// Calls f(i, n) for the runs [i, i + n) of [0, width), in order.
template <class F>
BK_INLINE void ForRuns(std::int64_t width, F f) {
  for (std::int64_t i = 0; i < width; i += 16) {
    f(i, width - i < 16 ? static_cast<int>(width - i) : 16);
  }
}

// Rows that one task takes when a row costs about `width` element visits: about 4 us of work, less
// costs more to hand over than to do.
BK_INLINE std::int64_t RowGrain(std::int64_t width) { return 1 + 16384 / (width + 1); }

}  // namespace birkhoff::cpu::BK_ISA
