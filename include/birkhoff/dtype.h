// Element types, by the names that safetensors uses, and bfloat16 by bit operations.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace birkhoff {

enum class DType : std::uint8_t {
  kF32,
  kBF16,
  kF16,
  kF8E4M3,  // "fn": no infinity, 0x7F and 0xFF are NaN, largest 448
  kF8E8M0,  // a power of two, 2^(byte - 127); 255 is NaN
  kI8,
  kU8,
  kI32,
  kI64,
};

constexpr std::size_t SizeOf(DType t) {
  switch (t) {
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBF16:
    case DType::kF16: return 2;
    case DType::kI64: return 8;
    case DType::kF8E4M3:
    case DType::kF8E8M0:
    case DType::kI8:
    case DType::kU8: return 1;
  }
  return 0;
}

// The safetensors spelling: "F32", "BF16", "F8_E4M3", ...
constexpr std::string_view Name(DType t) {
  switch (t) {
    case DType::kF32: return "F32";
    case DType::kBF16: return "BF16";
    case DType::kF16: return "F16";
    case DType::kF8E4M3: return "F8_E4M3";
    case DType::kF8E8M0: return "F8_E8M0";
    case DType::kI8: return "I8";
    case DType::kU8: return "U8";
    case DType::kI32: return "I32";
    case DType::kI64: return "I64";
  }
  return "?";
}

// The upper half of a binary32. Conversions keep NaN a NaN and round to nearest, ties to even.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  explicit bf16(float f) {
    const auto u = std::bit_cast<std::uint32_t>(f);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? static_cast<std::uint16_t>((u >> 16) | 0x40u)
               : static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

}  // namespace birkhoff
