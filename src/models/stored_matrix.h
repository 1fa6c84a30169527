// From the tensors of a checkpoint to the description that kernels read.
#pragma once

#include <cstdint>
#include <string>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"
#include "kernels/args/weight_matrix.h"

namespace birkhoff {
class ThreadPool;
}

namespace birkhoff::models {

struct StoredTensor {
  ConstTensorView view = {};
  std::string where = {};  // "file: tensor", for messages
};

// W [rows, cols] in whatever format dtype and shape of `weight` tell:
//   BF16, F16, F32   as it is; `scale` may be null and is not looked at
//   F8_E4M3          with a scale per block: `block` x `block` if the shape of `scale` fits it,
//                    else 128 x 128 or 32 x 32, or per row: [rows, 1]. Edge blocks may be partial.
//                    `block` 0: none is stated.
//   I8, U8           MXFP4: [rows, cols / 2] bytes with scales [rows, cols / 32]
// Scales are E8M0, which may be tagged U8, or F32; AsF32 makes that of BF16. Nothing is copied;
// values are not looked at.
//
// Errors   kInvalidArgument  another dtype or shape, no scale where one is needed
Result<WeightMatrix> DescribeMatrix(const StoredTensor& weight, const StoredTensor* scale,
                                    std::int64_t rows, std::int64_t cols, std::int32_t block);

// The same tensor in F32; exact. `data` has room for its elements.
//
// Errors   kInvalidArgument  neither F32, BF16 nor F16
Result<StoredTensor> AsF32(const StoredTensor& tensor, float* data);

// Refuses NaN, infinity, and scales that are not positive, with file, tensor, index and value.
Status CheckMatrixValues(const WeightMatrix& m, const StoredTensor& weight,
                         const StoredTensor* scale, ThreadPool* pool);

// "[3, 17]": index i of an array of this shape.
std::string IndexText(const Shape& shape, std::int64_t i);

}  // namespace birkhoff::models
