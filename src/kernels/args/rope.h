// Rotary position embedding on the last channels of a head.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"

namespace birkhoff {

// table[t, i] = (cos a, sin a),  a = positions[t] * frequency[i]
//
// Shapes   T >= 0, P >= 1 pairs.
// Units    frequency in radians per position.
// Numerics default: a is the f32 product of the f32-rounded operands, as the released models were
//          trained; precise: a in double. Cosine and sine with full argument reduction in double,
//          one rounding to f32.
struct RopeTableArgs {
  const std::int32_t* positions = nullptr;  // [T]
  const double* frequency = nullptr;        // [P]
  float* table = nullptr;                   // [T, P, 2]
  std::int64_t tokens = 0;
  std::int64_t pairs = 0;
  bool precise = false;
};

// Which channels of the rotary span belong together.
enum class RopePairing : std::uint8_t {
  kAdjacent,  // 2i with 2i + 1: DeepSeek
  kHalf,      // i with i + P, "rotate half": Qwen
};

// With the span the last 2P of D channels, (e, o) the members of its pair i, and (c, s) =
// table[t, i]:
//   out = (e c - o s, e s + o c) at their places;   inverse: s is negated.
// The channels before the span are copied.
//
// Shapes   T >= 0, H >= 1, 2P <= D.
// Numerics f32: e c - o s is fma(e, c, -(o s)), e s + o c is fma(e, s, o c); one rounding to
//          out_type.
// Aliasing out may be x when the types are equal and x is packed.
struct RopeArgs {
  const void* x = nullptr;        // [T, H, D] x_type, at the steps below
  const float* table = nullptr;   // [T, P, 2]
  void* out = nullptr;            // [T, H, D] out_type
  DType x_type = DType::kF32;     // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  std::int64_t tokens = 0;        // T
  std::int64_t heads = 0;         // H
  std::int64_t dim = 0;           // D
  std::int64_t pairs = 0;         // P
  bool inverse = false;
  RopePairing pairing = RopePairing::kAdjacent;
  std::int64_t x_row = 0;    // elements from one head of x to the next; 0: D
  std::int64_t x_token = 0;  // elements from one token of x to the next; 0: H heads

  [[gnu::always_inline]] std::int64_t x_step() const { return x_row == 0 ? dim : x_row; }
  // Element of x where a head of a token begins.
  [[gnu::always_inline]] std::int64_t x_at(std::int64_t token, std::int64_t head) const {
    return token * (x_token == 0 ? heads * x_step() : x_token) + head * x_step();
  }
};

}  // namespace birkhoff
