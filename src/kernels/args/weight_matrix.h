// A weight matrix as its checkpoint stores it: nothing is repacked, a kernel reads the mapped file.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"

namespace birkhoff {

enum class WeightFormat : std::uint8_t {
  kF32,
  kBF16,
  kF16,
  kFp8Block,  // E4M3 with one scale per block_rows x block_cols block, edge blocks partial
  kMxfp4,     // E2M1, two to a byte, low nibble first; one E8M0 scale per row and 32 columns
};

// W[r, c] = value(data[r, c]) * scale of its block; the product is rounded once, to f32 (exact
// for an E8M0 scale, short of overflow). Rows are output features, columns input features:
// y = x W^T.
struct WeightMatrix {
  // [rows, cols] of the format's element; kMxfp4: [rows, cols / 2] bytes
  const void* data = nullptr;
  // kFp8Block: [ceil(rows / block_rows), ceil(cols / block_cols)] of scale_type; kMxfp4:
  // [rows, cols / 32] E8M0; otherwise null
  const void* scale = nullptr;
  WeightFormat format = WeightFormat::kBF16;
  DType scale_type = DType::kF8E8M0;  // kF8E8M0 or kF32
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  // kFp8Block: 128 x 128, 32 x 32, or 1 x cols: a scale per output channel. kMxfp4: 1 x 32.
  std::int32_t block_rows = 0;
  std::int32_t block_cols = 0;

  // Bytes that one pass over the matrix reads.
  std::int64_t bytes() const {
    const std::int64_t n = rows * cols;
    const std::int64_t br = block_rows > 0 ? block_rows : 1;
    const std::int64_t bc = block_cols > 0 ? block_cols : 1;
    const std::int64_t blocks = ((rows + br - 1) / br) * ((cols + bc - 1) / bc);
    switch (format) {
      case WeightFormat::kF32: return n * 4;
      case WeightFormat::kBF16:
      case WeightFormat::kF16: return n * 2;
      case WeightFormat::kFp8Block:
        return n + blocks * static_cast<std::int64_t>(SizeOf(scale_type));
      case WeightFormat::kMxfp4: return n / 2 + n / 32;
    }
    return 0;
  }
};

}  // namespace birkhoff
