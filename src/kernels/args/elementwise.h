// The small row operations between the large ones.
#pragma once

#include <cstdint>
#include <limits>

#include "birkhoff/dtype.h"

namespace birkhoff {

// out[r, j, :] = x[r, :] for j in [0, copies)
//
// Shapes   rows >= 0. Numerics exact. Aliasing none.
struct BroadcastArgs {
  const void* x = nullptr;    // [rows, width] type
  void* out = nullptr;        // [rows, copies, width] type
  DType type = DType::kBF16;  // any
  std::int64_t rows = 0;
  std::int64_t copies = 0;
  std::int64_t width = 0;
};

// out[r, :] = a[r, :] followed by b[r, :]
//
// Shapes   rows >= 0. Numerics exact. Aliasing none.
struct ConcatArgs {
  const void* a = nullptr;    // [rows, a_width] type, a_row elements from row to row
  const void* b = nullptr;    // [rows, b_width] type, b_row elements from row to row
  void* out = nullptr;        // [rows, a_width + b_width] type
  DType type = DType::kBF16;  // any
  std::int64_t rows = 0;
  std::int64_t a_width = 0;
  std::int64_t a_row = 0;
  std::int64_t b_width = 0;
  std::int64_t b_row = 0;
};

// out[r, :] = x[index[r], :]
//
// Shapes   rows >= 0; index in range, checked by the caller. Numerics exact. Aliasing none.
struct GatherRowsArgs {
  const void* x = nullptr;              // [*, width] type
  const std::int32_t* index = nullptr;  // [rows]
  void* out = nullptr;                  // [rows, width] type
  DType type = DType::kBF16;            // any
  std::int64_t rows = 0;
  std::int64_t width = 0;
};

// out[r, j, :] = a[r, :] + b[r, j, :] for j in [0, repeat)
//
// Shapes   rows >= 0, repeat >= 1. repeat > 1 adds one row to each stream of a token.
// Numerics f32 sum, one rounding to out_type.
// Aliasing out may be b, and a if repeat is 1, of the same type.
struct AddArgs {
  const void* a = nullptr;        // [rows, width] a_type
  const void* b = nullptr;        // [rows, repeat, width] b_type
  void* out = nullptr;            // [rows, repeat, width] out_type
  DType a_type = DType::kF32;     // kBF16 or kF32
  DType b_type = DType::kF32;     // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  std::int64_t rows = 0;
  std::int64_t repeat = 1;
  std::int64_t width = 0;
};

// out = silu(min(gate, limit)) * clamp(up, -limit, limit),  silu(a) = a / (1 + exp(-a))
//
// Shapes   rows >= 0.
// Numerics f32: a * sigmoid(a), then times up; one rounding to type. The clamp of the gate has no
//          lower side. A NaN stays a NaN.
// Aliasing out may be gate or up.
struct SwigluArgs {
  const void* gate = nullptr;  // [rows, width] type
  const void* up = nullptr;    // [rows, width] type
  void* out = nullptr;         // [rows, width] type
  DType type = DType::kBF16;   // kBF16 or kF32
  std::int64_t rows = 0;
  std::int64_t width = 0;
  float limit = std::numeric_limits<float>::infinity();  // infinity: no clamp
};

}  // namespace birkhoff
