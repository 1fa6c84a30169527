// The FP8 of a row, by the definition of its formats.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "birkhoff/ops/fp8.h"
#include "kernels/ref/elements.h"

namespace birkhoff::ref {

// Row `row` of `to` from the `width` elements of x from `from` on: to the nearest of all codes, the
// even one where two are. The f32 quotient of two f32 is that of doubles, rounded.
inline void PutFp8(const void* x, DType type, std::int64_t from, const Fp8Rows& to,
                   std::int64_t row, std::int64_t width) {
  const Fp8Format format = to.format;
  const std::int64_t groups = (width + format.group - 1) / format.group;
  const bool packed = to.scale_row == 0 && to.scale_group == 0;
  auto* codes = static_cast<std::uint8_t*>(to.data) + row * width;
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t begin = g * format.group;
    const std::int64_t end = std::min(begin + format.group, width);
    double largest = format.floor;
    for (std::int64_t i = begin; i < end; ++i)
      largest = std::fmax(largest, std::abs(Get(x, type, from + i)));
    double scale = static_cast<float>(largest / 448);
    if (format.scale != Fp8Scale::kF32) scale = std::exp2(std::ceil(std::log2(scale)));
    const std::int64_t at = packed ? row * groups + g : row * to.scale_row + g * to.scale_group;
    if (format.scale == Fp8Scale::kE8M0) {
      static_cast<std::uint8_t*>(to.scale)[at] =
          std::isinf(scale) ? 255 : static_cast<std::uint8_t>(std::ilogb(scale) + 127);
    } else {
      static_cast<float*>(to.scale)[at] = static_cast<float>(scale);
    }
    for (std::int64_t i = begin; i < end; ++i) {
      const double v = static_cast<float>(Get(x, type, from + i) / scale);
      unsigned best = std::isnan(v) ? 0x7f : 0;
      for (unsigned code = 1; code < 0x7f && !std::isnan(v); ++code) {
        const double error = std::abs(E4M3(static_cast<std::uint8_t>(code)) - std::abs(v));
        const double least = std::abs(E4M3(static_cast<std::uint8_t>(best)) - std::abs(v));
        if (error < least || (error == least && code % 2 == 0)) best = code;
      }
      const unsigned sign = std::signbit(v) && !std::isnan(v) ? 0x80 : 0;
      codes[i] = static_cast<std::uint8_t>(best | sign);
    }
  }
}

}  // namespace birkhoff::ref
