// Random weight matrices of every storage format.
#pragma once

#include <string_view>

#include "harness/suite.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff::harness {

// How a matrix is stored, and what the scales are.
struct Storage {
  std::string_view name = "bf16";
  WeightFormat format = WeightFormat::kBF16;
  DType scale_type = DType::kF8E8M0;
  std::int32_t block = 0;  // kFp8Block: rows and columns of a block; 0: a block is a row
  enum class Scales { kUsual, kExtreme } scales = Scales::kUsual;
  bool nans = false;  // some E4M3 codes are NaN
};

inline constexpr Storage kStorages[] = {
    {"f32", WeightFormat::kF32},
    {"bf16", WeightFormat::kBF16},
    {"f16", WeightFormat::kF16},
    {"fp8_128", WeightFormat::kFp8Block, DType::kF8E8M0, 128},
    {"fp8_32", WeightFormat::kFp8Block, DType::kF8E8M0, 32},
    {"fp8_f32scale", WeightFormat::kFp8Block, DType::kF32, 128},
    {"mxfp4", WeightFormat::kMxfp4},
    {"fp8_channel", WeightFormat::kFp8Block, DType::kF32},
};

// Weights of magnitude up to about 2 (usual scales), at an odd address. kExtreme draws the scales
// from the ends of their range, zero and infinite ones left out.
WeightMatrix RandomWeights(Buffers& buffers, const Storage& storage, std::int64_t rows,
                           std::int64_t cols);

// sum_k |x[k] W[row, k]| and sum_k x[k] W[row, k] of the row of x that begins at element `first`.
struct DotSums {
  double value = 0;
  double magnitude = 0;
};
DotSums Dot(const void* x, DType x_type, std::int64_t first, const WeightMatrix& w,
            std::int64_t row);

// Largest error of one output of class "f32x16" over k columns: ceil(k / 16) multiply-adds and four
// additions of the tree lie on a path, each off by at most u of what it has summed, or by half the
// smallest denormal.
double DotError(std::int64_t k, double magnitude);

}  // namespace birkhoff::harness
