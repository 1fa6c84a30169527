#include "models/stored_matrix.h"

#include <fmt/core.h>

#include <bit>
#include <cstring>

#include "models/value_check.h"

namespace birkhoff::models {
namespace {

Status Error(const StoredTensor& tensor, const std::string& message) {
  return Status::InvalidArgument(fmt::format("{}: {}", tensor.where, message));
}

Status CheckShape(const StoredTensor& t, const Shape& expected, std::string_view why) {
  if (t.view.shape == expected) return Status::Ok();
  return Error(t, fmt::format("shape {} of {}, expected {}{}", t.view.shape.ToString(),
                              Name(t.view.dtype), expected.ToString(), why));
}

// binary16 to binary32; exact.
float F16ToFloat(std::uint16_t h) {
  const std::uint32_t magnitude = h & 0x7fffu;
  if (magnitude < 0x0400) {  // zero and subnormals: units of 2^-24
    const float v = static_cast<float>(magnitude) * 0x1p-24f;
    return (h & 0x8000u) != 0 ? -v : v;
  }
  // The exponent moves from bias 15 to bias 127; all ones stay all ones.
  const std::uint32_t bias = magnitude >= 0x7c00 ? (255u - 31u) << 23 : (127u - 15u) << 23;
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  return std::bit_cast<float>(sign | ((magnitude << 13) + bias));
}

float ToFloat(DType dtype, const std::byte* p) {
  std::uint16_t half = 0;
  if (dtype == DType::kF32) {
    float v = 0;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  std::memcpy(&half, p, sizeof half);
  if (dtype == DType::kF16) return F16ToFloat(half);
  bf16 v;
  v.bits = half;
  return static_cast<float>(v);
}

bool IsE8M0(DType t) { return t == DType::kF8E8M0 || t == DType::kU8; }

Result<WeightMatrix> DescribeFp8(WeightMatrix m, const StoredTensor& weight,
                                 const StoredTensor& scale, std::int32_t block) {
  BK_RETURN_IF_ERROR(CheckShape(weight, {m.rows, m.cols}, ""));
  const DType type = scale.view.dtype;
  if (!IsE8M0(type) && type != DType::kF32) {
    return Error(scale,
                 fmt::format("dtype {}, expected F8_E8M0, U8 or F32 for a scale", Name(type)));
  }
  m.format = WeightFormat::kFp8Block;
  m.scale = scale.view.data;
  m.scale_type = type == DType::kF32 ? DType::kF32 : DType::kF8E8M0;
  const auto blocks = [&m](std::int32_t b) {
    return Shape{(m.rows + b - 1) / b, (m.cols + b - 1) / b};
  };
  for (const std::int32_t b : {block, 128, 32}) {
    if (b < 1 || scale.view.shape != blocks(b)) continue;
    m.block_rows = m.block_cols = b;
    return m;
  }
  const Shape per_row = {m.rows, 1};
  if (scale.view.shape == per_row) {
    m.block_rows = 1;
    m.block_cols = static_cast<std::int32_t>(m.cols);
    return m;
  }
  return Error(scale, fmt::format("shape {}, expected {} for 128 x 128 blocks, {} for 32 x 32 "
                                  "blocks or {} for the rows of a [{}, {}] weight",
                                  scale.view.shape.ToString(), blocks(128).ToString(),
                                  blocks(32).ToString(), per_row.ToString(), m.rows, m.cols));
}

Result<WeightMatrix> DescribeMxfp4(WeightMatrix m, const StoredTensor& weight,
                                   const StoredTensor& scale) {
  if (m.cols % 32 != 0) {
    return Error(weight, fmt::format("MXFP4 with {} columns, expected a multiple of 32", m.cols));
  }
  BK_RETURN_IF_ERROR(
      CheckShape(weight, {m.rows, m.cols / 2}, fmt::format(" ({} MXFP4 columns)", m.cols)));
  if (!IsE8M0(scale.view.dtype)) {
    return Error(scale, fmt::format("dtype {}, expected F8_E8M0 or U8 for the scale of MXFP4",
                                    Name(scale.view.dtype)));
  }
  BK_RETURN_IF_ERROR(CheckShape(scale, {m.rows, m.cols / 32}, ""));
  m.format = WeightFormat::kMxfp4;
  m.scale = scale.view.data;
  m.scale_type = DType::kF8E8M0;
  m.block_rows = 1;
  m.block_cols = 32;
  return m;
}

// The value as a number where the dtype is one, else as a code.
std::string ValueText(DType dtype, const void* data, std::int64_t i) {
  const auto* p =
      static_cast<const std::byte*>(data) + i * static_cast<std::int64_t>(SizeOf(dtype));
  if (dtype == DType::kF32) {
    float v = 0;
    std::memcpy(&v, p, sizeof v);
    return fmt::format("{}", v);
  }
  std::uint64_t bits = 0;
  std::memcpy(&bits, p, SizeOf(dtype));
  return fmt::format("code 0x{:02x} of {}", bits, Name(dtype));
}

}  // namespace

Result<WeightMatrix> DescribeMatrix(const StoredTensor& weight, const StoredTensor* scale,
                                    std::int64_t rows, std::int64_t cols, std::int32_t block) {
  WeightMatrix m = {.data = weight.view.data, .rows = rows, .cols = cols};
  const DType dtype = weight.view.dtype;
  switch (dtype) {
    case DType::kF32: m.format = WeightFormat::kF32; break;
    case DType::kBF16: m.format = WeightFormat::kBF16; break;
    case DType::kF16: m.format = WeightFormat::kF16; break;
    case DType::kF8E4M3:
    case DType::kI8:
    case DType::kU8:
      if (scale == nullptr) {
        return Error(weight, fmt::format("{} without a scale tensor", Name(dtype)));
      }
      return dtype == DType::kF8E4M3 ? DescribeFp8(m, weight, *scale, block)
                                     : DescribeMxfp4(m, weight, *scale);
    default:
      return Error(
          weight, fmt::format("dtype {}, expected BF16, F16, F32, F8_E4M3, I8 or U8", Name(dtype)));
  }
  BK_RETURN_IF_ERROR(CheckShape(weight, {rows, cols}, ""));
  return m;
}

Result<StoredTensor> AsF32(const StoredTensor& tensor, float* data) {
  const DType dtype = tensor.view.dtype;
  if (dtype != DType::kF32 && dtype != DType::kBF16 && dtype != DType::kF16)
    return Error(tensor, fmt::format("dtype {}, expected F32, BF16 or F16", Name(dtype)));
  const auto* p = static_cast<const std::byte*>(tensor.view.data);
  const std::int64_t n = tensor.view.shape.elements();
  for (std::int64_t i = 0; i < n; ++i, p += SizeOf(dtype)) data[i] = ToFloat(dtype, p);
  return StoredTensor{{data, DType::kF32, tensor.view.shape}, tensor.where};
}

Status CheckMatrixValues(const WeightMatrix& m, const StoredTensor& weight,
                         const StoredTensor* scale, ThreadPool* pool) {
  const ConstTensorView& w = weight.view;
  const std::int64_t bad = FindNonFinite(w.dtype, w.data, w.shape.elements(), pool);
  if (bad >= 0) {
    return Error(weight, fmt::format("element {} is {}, expected a finite number",
                                     IndexText(w.shape, bad), ValueText(w.dtype, w.data, bad)));
  }
  if (m.scale == nullptr) return Status::Ok();
  const ConstTensorView& s = scale->view;
  const std::int64_t bad_scale = FindBadScale(m.scale_type, s.data, s.shape.elements(), pool);
  if (bad_scale >= 0) {
    return Error(*scale, fmt::format("element {} is {}, expected a finite positive scale",
                                     IndexText(s.shape, bad_scale),
                                     ValueText(m.scale_type, s.data, bad_scale)));
  }
  return Status::Ok();
}

std::string IndexText(const Shape& shape, std::int64_t i) {
  std::string text = "]";
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    text = fmt::format("{}{}{}", axis > 0 ? ", " : "[", i % shape[axis], text);
    i /= shape[axis];
  }
  return shape.rank() == 0 ? "[]" : text;
}

}  // namespace birkhoff::models
