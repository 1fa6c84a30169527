// Reading and writing elements of any type as doubles, for the reference kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "birkhoff/dtype.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff::ref {

// E4M3 "fn" and E8M0 as defined by the OCP microscaling formats; E2M1 by its sixteen codes.
inline double E4M3(std::uint8_t b) {
  const int exponent = (b >> 3) & 15;
  const int mantissa = b & 7;
  const double sign = (b & 0x80) != 0 ? -1.0 : 1.0;
  if ((b & 0x7f) == 0x7f) return std::nan("");
  if (exponent == 0) return sign * std::ldexp(mantissa, -9);
  return sign * std::ldexp(8 + mantissa, exponent - 10);
}

inline double E8M0(std::uint8_t b) { return b == 255 ? std::nan("") : std::ldexp(1.0, b - 127); }

inline double E2M1(unsigned code) {
  constexpr double kMagnitude[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return (code & 8) != 0 ? -kMagnitude[code & 7] : kMagnitude[code & 7];
}

inline double F16(std::uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const int mantissa = h & 1023;
  const double sign = (h & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

template <class T>
T ReadAt(const void* p, std::int64_t i) {  // safetensors promises no alignment
  T v;
  std::memcpy(&v, static_cast<const std::byte*>(p) + i * static_cast<std::int64_t>(sizeof(T)),
              sizeof(T));
  return v;
}

// Element i of an activation array.
inline double Get(const void* p, DType type, std::int64_t i) {
  if (type == DType::kF32) return ReadAt<float>(p, i);
  return static_cast<double>(static_cast<float>(ReadAt<bf16>(p, i)));
}

// Stores with the one rounding of the contract. Rounding a double to f32 first cannot change a bf16
// by more than the tie cases that the bounds of the tests allow.
inline void Put(void* p, DType type, std::int64_t i, double v) {
  if (type == DType::kF32) {
    static_cast<float*>(p)[i] = static_cast<float>(v);
  } else {
    static_cast<bf16*>(p)[i] = bf16(static_cast<float>(v));
  }
}

// W[row, col]: the f32 value that every kernel multiplies with.
inline double Weight(const WeightMatrix& w, std::int64_t row, std::int64_t col) {
  const std::int64_t i = row * w.cols + col;
  switch (w.format) {
    case WeightFormat::kF32: return ReadAt<float>(w.data, i);
    case WeightFormat::kBF16:
      return static_cast<double>(static_cast<float>(ReadAt<bf16>(w.data, i)));
    case WeightFormat::kF16: return F16(ReadAt<std::uint16_t>(w.data, i));
    case WeightFormat::kFp8Block: {
      const std::int64_t blocks = (w.cols + w.block_cols - 1) / w.block_cols;
      const std::int64_t s = (row / w.block_rows) * blocks + col / w.block_cols;
      const double scale = w.scale_type == DType::kF32
                               ? static_cast<double>(ReadAt<float>(w.scale, s))
                               : E8M0(ReadAt<std::uint8_t>(w.scale, s));
      return static_cast<double>(static_cast<float>(E4M3(ReadAt<std::uint8_t>(w.data, i)) * scale));
    }
    case WeightFormat::kMxfp4: {
      const auto byte = ReadAt<std::uint8_t>(w.data, i / 2);
      const double scale = E8M0(ReadAt<std::uint8_t>(w.scale, row * (w.cols / 32) + col / 32));
      return static_cast<double>(
          static_cast<float>(E2M1(col % 2 == 0 ? byte & 15u : byte >> 4u) * scale));
    }
  }
  return 0;
}

}  // namespace birkhoff::ref
