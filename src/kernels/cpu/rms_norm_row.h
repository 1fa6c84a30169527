// RMSNorm of one row: two passes over a row that stays in L1.
#pragma once

#include "kernels/args/rms_norm.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

// 1 / sqrt(mean square + eps) of the elements [at, at + width) of x.
inline float InverseRms(const void* x, DType type, std::int64_t at, std::int64_t width, float eps) {
  const bool is_bf16 = type == DType::kBF16;
  const std::int64_t whole = width / 16 * 16;
  F32x16 sum = Zero();
  for (std::int64_t i = 0; i < whole; i += 16) {
    const F32x16 v = LoadAs(x, is_bf16, at + i);
    sum = Fma(v, v, sum);
  }
  if (whole < width) {
    const F32x16 v = LoadAsN(x, is_bf16, at + whole, static_cast<int>(width - whole));
    sum = Fma(v, v, sum);
  }
  return 1.0f / std::sqrt(ReduceAdd(sum) / static_cast<float>(width) + eps);
}

// A row with its norm applied as it is read; rows that are not normed are read as they are.
struct NormedRow {
  const void* x = nullptr;  // from element `at`
  DType type = DType::kBF16;
  std::int64_t at = 0;
  const float* weight = nullptr;
  bool normed = false;
  F32x16 rs = Zero();

  // Channels [i, i + n), n in [1, 16].
  BK_INLINE F32x16 Run(std::int64_t i, int n) const {
    F32x16 y = LoadRun(x, type, at + i, n);
    if (normed) y = Mul(y, rs);
    if (weight != nullptr) y = Mul(y, LoadRun(weight, DType::kF32, i, n));
    return y;
  }
};

inline void NormRow(const RmsNormArgs& a, std::int64_t row) {
  const std::int64_t at = row * a.x_step();
  const NormedRow x = {a.x,      a.x_type, at,
                       a.weight, true,     Set(InverseRms(a.x, a.x_type, at, a.width, a.eps))};
  ForRuns(a.width, [&](std::int64_t i, int n) {
    StoreRun(a.out, a.out_type, row * a.width + i, x.Run(i, n), n);
  });
}

}  // namespace birkhoff::cpu::BK_ISA
