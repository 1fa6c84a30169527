#include "harness/random_weights.h"

#include <cmath>
#include <cstring>

#include "kernels/ref/elements.h"

namespace birkhoff::harness {
namespace {

// 4 bytes of a float in (2^-8, 2), 2 bytes of a bf16 or f16 in the same range, or any byte.
std::uint32_t RandomElement(std::uint64_t random, const Storage& storage) {
  const auto sign = static_cast<std::uint32_t>(random & 1);
  const auto exponent = static_cast<std::uint32_t>((random >> 1) & 7);  // 2^-7 ... 2^0
  const auto mantissa = static_cast<std::uint32_t>(random >> 32);
  switch (storage.format) {
    case WeightFormat::kF32: return sign << 31 | (120 + exponent) << 23 | mantissa >> 9;
    case WeightFormat::kBF16: return sign << 15 | (120 + exponent) << 7 | mantissa >> 25;
    case WeightFormat::kF16: return sign << 15 | (8 + exponent) << 10 | mantissa >> 22;
    case WeightFormat::kFp8Block: {
      const std::uint32_t byte = mantissa >> 24;
      return (byte & 0x7f) == 0x7f && !storage.nans ? byte ^ 1u : byte;
    }
    case WeightFormat::kMxfp4: return mantissa >> 24;
  }
  return 0;
}

std::uint8_t RandomE8M0(std::uint64_t random, const Storage& storage) {
  if (storage.scales == Storage::Scales::kExtreme) {
    constexpr std::uint8_t kEnds[] = {0, 1, 7, 127, 246, 247, 253, 254};
    return kEnds[random % 8];
  }
  const int top = storage.format == WeightFormat::kMxfp4 ? 125 : 119;  // largest element 6 or 448
  return static_cast<std::uint8_t>(top - static_cast<int>(random % 4));
}

float RandomScale(std::uint64_t random, const Storage& storage) {
  if (storage.scales == Storage::Scales::kExtreme) {
    constexpr float kEnds[] = {0x1p-149f, 0x1.3p-126f, 1.7f, 0x1.fp119f, 0x1.1p120f, 0x1.fp127f};
    return kEnds[random % 6];
  }
  return static_cast<float>(1 + random % 1000) * 0x1p-18f;
}

const void* RandomScales(Buffers& buffers, const Storage& storage, std::int64_t count) {
  if (storage.scale_type == DType::kF32) {
    auto* scales = static_cast<char*>(buffers.Bytes(count * 4 + 1)) + 1;
    for (std::int64_t i = 0; i < count; ++i) {
      const float s = RandomScale(buffers.Next(), storage);
      std::memcpy(scales + i * 4, &s, 4);
    }
    return scales;
  }
  auto* scales = static_cast<std::uint8_t*>(buffers.Bytes(count));
  for (std::int64_t i = 0; i < count; ++i) scales[i] = RandomE8M0(buffers.Next(), storage);
  return scales;
}

}  // namespace

WeightMatrix RandomWeights(Buffers& buffers, const Storage& storage, std::int64_t rows,
                           std::int64_t cols) {
  WeightMatrix w;
  w.format = storage.format;
  w.scale_type = storage.scale_type;
  w.rows = rows;
  w.cols = cols;
  std::int64_t element = 1;
  std::int64_t count = rows * cols;
  if (w.format == WeightFormat::kF32) element = 4;
  if (w.format == WeightFormat::kBF16 || w.format == WeightFormat::kF16) element = 2;
  if (w.format == WeightFormat::kMxfp4) {
    count /= 2;
    w.block_rows = 1;
    w.block_cols = 32;
  }
  if (w.format == WeightFormat::kFp8Block) {
    w.block_rows = storage.block > 0 ? storage.block : 1;
    w.block_cols = storage.block > 0 ? storage.block : static_cast<std::int32_t>(cols);
  }

  auto* data = static_cast<char*>(buffers.Bytes(count * element + 1)) + 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = RandomElement(buffers.Next(), storage);
    std::memcpy(data + i * element, &bits, static_cast<std::size_t>(element));
  }
  w.data = data;
  if (w.block_cols > 0) {
    const std::int64_t blocks =
        ((rows + w.block_rows - 1) / w.block_rows) * ((cols + w.block_cols - 1) / w.block_cols);
    w.scale = RandomScales(buffers, storage, blocks);
  }
  return w;
}

DotSums Dot(const void* x, DType x_type, std::int64_t first, const WeightMatrix& w,
            std::int64_t row) {
  DotSums sums;
  for (std::int64_t k = 0; k < w.cols; ++k) {
    const double product = ref::Get(x, x_type, first + k) * ref::Weight(w, row, k);
    sums.value += product;
    sums.magnitude += std::abs(product);
  }
  return sums;
}

double DotError(std::int64_t k, double magnitude) {
  const std::int64_t chain = (k + 15) / 16 + 6;
  const auto steps = static_cast<double>(chain);
  return steps * (kF32Eps * magnitude + 0x1p-149);
}

}  // namespace birkhoff::harness
