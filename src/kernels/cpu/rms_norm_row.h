// RMSNorm of one row: two passes over a row that stays in L1.
#pragma once

#include "kernels/args/rms_norm.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

inline void NormRow(const RmsNormArgs& a, std::int64_t row) {
  const bool x_bf16 = a.x_type == DType::kBF16;
  const bool out_bf16 = a.out_type == DType::kBF16;
  const std::int64_t base = row * a.width;
  const std::int64_t whole = a.width / 16 * 16;
  const int rest = static_cast<int>(a.width - whole);

  F32x16 sum = Zero();
  for (std::int64_t i = 0; i < whole; i += 16) {
    const F32x16 x = LoadAs(a.x, x_bf16, base + i);
    sum = Fma(x, x, sum);
  }
  if (rest > 0) {
    const F32x16 x = LoadAsN(a.x, x_bf16, base + whole, rest);
    sum = Fma(x, x, sum);
  }
  const float mean = ReduceAdd(sum) / static_cast<float>(a.width);
  const F32x16 rs = Set(1.0f / std::sqrt(mean + a.eps));

  for (std::int64_t i = 0; i < whole; i += 16) {
    F32x16 y = Mul(LoadAs(a.x, x_bf16, base + i), rs);
    if (a.weight != nullptr) y = Mul(y, Load(a.weight + i));
    StoreAs(a.out, out_bf16, base + i, y);
  }
  if (rest > 0) {
    F32x16 y = Mul(LoadAsN(a.x, x_bf16, base + whole, rest), rs);
    if (a.weight != nullptr) y = Mul(y, LoadN(a.weight + whole, rest));
    StoreAsN(a.out, out_bf16, base + whole, y, rest);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
