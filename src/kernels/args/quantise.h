// Rows in FP8, as they are or right behind the op that makes them.
//
// Shapes   rows >= 0, width >= 1, format.group >= 1: that of the width is a scale for a whole row.
//          The last group of a row may be narrower.
// Units    Steps are elements.
// Numerics include/birkhoff/ops/fp8.h, of any x in f32. What a fused op quantises is what the op
//          before it would have stored: its rounded value.
// Aliasing none.
// Source   DeepSeek-V3, DeepSeek-V4 and compressed-tensors; the fused forms are Birkhoff's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "birkhoff/dtype.h"
#include "birkhoff/ops/fp8.h"

namespace birkhoff {

// fp8 = FP8 of x
struct QuantiseArgs {
  const void* x = nullptr;    // [rows, width] type, rows x_row apart
  Fp8Rows fp8 = {};           // [rows, width]
  DType type = DType::kBF16;  // kBF16 or kF32
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t x_row = 0;  // elements from one row of x to the next; 0: width

  [[gnu::always_inline]] std::int64_t x_step() const { return x_row == 0 ? width : x_row; }
};

// out = rms_norm(x, weight), fp8 = FP8 of out: args/rms_norm.h
struct RmsNormQuantiseArgs {
  const void* x = nullptr;        // [rows, width] x_type, rows x_row apart
  const float* weight = nullptr;  // [width]
  void* out = nullptr;            // [rows, width] out_type
  Fp8Rows fp8 = {};               // [rows, width]
  DType x_type = DType::kBF16;    // kBF16 or kF32
  DType out_type = DType::kBF16;  // kBF16 or kF32
  float eps = 0;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t x_row = 0;  // elements from one row of x to the next; 0: width

  [[gnu::always_inline]] std::int64_t x_step() const { return x_row == 0 ? width : x_row; }
};

// fp8 = FP8 of swiglu(gate, up): args/elementwise.h
struct SwigluQuantiseArgs {
  const void* gate = nullptr;                            // [rows, width] type
  const void* up = nullptr;                              // [rows, width] type
  Fp8Rows fp8 = {};                                      // [rows, width]
  DType type = DType::kBF16;                             // kBF16 or kF32
  float limit = std::numeric_limits<float>::infinity();  // infinity: no clamp
  std::int64_t rows = 0;
  std::int64_t width = 0;
};

// Scratch of swiglu_quantise on the CPU: a row for each thread.
inline std::size_t RowScratch(const SwigluQuantiseArgs& a, int threads) {
  return static_cast<std::size_t>(threads * a.width) * SizeOf(a.type);
}

}  // namespace birkhoff
