// Rows in FP8, each group of their columns with a scale of its own: what block-scaled FP8 linear
// layers read.
//
// Formula  Of the columns of a group: a = max(max |x|, floor), a NaN left out; s = a / 448, or the
//          power of two from that upwards; q = E4M3(clamp(x / s, -448, 448)). The value is q s.
// Shapes   q [T, H] E4M3 (bias 7, largest 448, no infinity); scales [T, ceil(H / group)]. The last
//          group may be narrower.
// Units    Steps are elements: the scale of row t and group g is scale[t * scale_row + g *
//          scale_group]. Both 0: row after row. Column after column, as some kernels want it:
//          scale_row = 1, scale_group = T rounded up to a multiple of 4.
// Numerics Division and rounding are those of IEEE f32, then to nearest even; so the bytes are a
//          function of x alone, on every device. A NaN is 0x7f. An infinite x makes its scale
//          infinite, as E8M0 the NaN 255.
// Source   DeepSeek-V3 (kF32), DeepSeek-V4 (kPowerOfTwo, kE8M0), compressed-tensors (a scale for a
//          whole row), OCP MX 1.0 (E4M3, E8M0).
#pragma once

#include <cstdint>

namespace birkhoff {

enum class Fp8Scale : std::uint8_t {
  kF32,         // f32: a / 448
  kPowerOfTwo,  // f32
  kE8M0,        // the exponent of the power of two as a byte, + 127
};

// The least that the largest magnitude of a group counts as, so that zeros have a scale.
constexpr float kFp8GroupFloor = 1e-4f;   // of the formats with groups of 32 and 128 columns
constexpr float kFp8RowFloor = 448e-12f;  // of those with a scale for a row: s >= 1e-12

struct Fp8Format {
  std::int64_t group = 0;  // columns of a scale; 0: no FP8
  Fp8Scale scale = Fp8Scale::kF32;
  float floor = kFp8GroupFloor;  // in [1e-30, 1e30]

  bool operator==(const Fp8Format&) const = default;
};

// Where a kernel writes such rows.
struct Fp8Rows {
  void* data = nullptr;   // [T, H], one after another; aligned to 16 where H % 8 = 0
  void* scale = nullptr;  // of the type that the format says
  Fp8Format format = {};
  std::int64_t scale_row = 0;  // steps that keep all scales apart, or both 0
  std::int64_t scale_group = 0;
};

}  // namespace birkhoff
