// A row of bf16 to FP8.
#pragma once

#include <cstdint>

#include "kernels/args/fp8.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

// Row `row` of `to`, whose steps are set, from the `width` columns of x.
inline void Fp8Row(const std::uint16_t* x, std::int64_t width, const Fp8Rows& to,
                   std::int64_t row) {
  auto* out = static_cast<std::uint8_t*>(to.data) + row * width;
  const std::int64_t group = to.format.group;
  for (std::int64_t begin = 0; begin < width; begin += group) {
    const std::int64_t end = begin + group < width ? begin + group : width;
    const auto at = [&](std::int64_t i) {
      return fp8::FloatOf(static_cast<std::uint32_t>(x[i]) << 16);
    };
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) largest = fp8::Larger(largest, at(i));
    const float scale = fp8::ScaleOf(largest, to.format.scale);
    for (std::int64_t i = begin; i < end; ++i) out[i] = fp8::E4m3(at(i) / scale);
    fp8::PutScale(to, row, begin / group, scale);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
