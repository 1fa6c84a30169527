// Weight matrices of any format with harmless random contents, for tests of bits.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "kernels/args/weight_matrix.h"

namespace birkhoff::ops {

struct WeightBytes {
  std::vector<std::uint8_t> data = {};
  std::vector<std::uint8_t> scale = {};
  WeightMatrix matrix = {};
};

inline constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBF16,
                                            WeightFormat::kF16, WeightFormat::kFp8Block,
                                            WeightFormat::kMxfp4};

// The matrix points into the vectors: the object may be moved but not copied from.
inline WeightBytes MakeWeights(WeightFormat format, std::int64_t rows, std::int64_t cols,
                               std::mt19937& random) {
  WeightBytes w;
  w.matrix.format = format;
  w.matrix.rows = rows;
  w.matrix.cols = cols;
  if (format == WeightFormat::kFp8Block) w.matrix.block_rows = w.matrix.block_cols = 32;
  if (format == WeightFormat::kMxfp4) {
    w.matrix.block_rows = 1;
    w.matrix.block_cols = 32;
  }
  std::size_t element = 1;
  if (format == WeightFormat::kF32) element = 4;
  if (format == WeightFormat::kBF16 || format == WeightFormat::kF16) element = 2;
  const std::int64_t elements = format == WeightFormat::kMxfp4 ? rows * cols / 2 : rows * cols;
  w.data.resize(static_cast<std::size_t>(elements) * element);
  for (std::size_t i = 0; i < w.data.size(); ++i) {
    auto byte = static_cast<std::uint8_t>(random());
    if (element > 1 && (i + 1) % element == 0) byte = (byte & 0x83) | 0x3c;  // magnitude near 1
    if (format == WeightFormat::kFp8Block) byte &= 0xbf;                     // no NaN
    w.data[i] = byte;
  }
  w.scale.resize(static_cast<std::size_t>((rows + 31) * (cols + 31)));
  for (std::uint8_t& s : w.scale) s = static_cast<std::uint8_t>(123 + random() % 4);
  w.matrix.data = w.data.data();
  w.matrix.scale = w.scale.data();
  return w;
}

// E4M3 with an f32 scale for each row.
inline WeightBytes MakeChannelWeights(std::int64_t rows, std::int64_t cols, std::mt19937& random) {
  WeightBytes w = MakeWeights(WeightFormat::kFp8Block, rows, cols, random);
  w.matrix.block_rows = 1;
  w.matrix.block_cols = static_cast<std::int32_t>(cols);
  w.matrix.scale_type = DType::kF32;
  w.scale.clear();
  for (std::int64_t r = 0; r < rows; ++r) {
    const float scale = 0.01f + static_cast<float>(random() % 1000) * 1e-4f;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&scale);
    w.scale.insert(w.scale.end(), bytes, bytes + sizeof(scale));
  }
  w.matrix.scale = w.scale.data();
  return w;
}

}  // namespace birkhoff::ops
