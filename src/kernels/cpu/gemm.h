// Products of rows of activations with rows of a weight matrix: the common part of Linear and
// Experts.
//
// The order of additions is that of LinearArgs and the same on both ways through, gemm_few.h and
// gemm_many.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/args/weight_matrix.h"

namespace birkhoff::cpu {

// Rows of activations, taken from an array [*, width] in the order of `index`, or in its own.
struct Rows {
  const void* data = nullptr;           // first row
  const std::int32_t* index = nullptr;  // [count], or null for 0, 1, 2, ...
  std::int64_t stride = 0;              // elements from one row of the array to the next
  std::int64_t count = 0;               // at most kMaxRows
  bool is_bf16 = true;                  // else f32

  // Elements before row i
  [[gnu::always_inline]] std::int64_t Begin(std::int64_t i) const {
    return (index != nullptr ? index[i] : i) * stride;
  }
};

// Rows [first, first + rows) of a matrix, and where their products go: y [count, kMaxOutputs].
struct Outputs {
  const WeightMatrix* w = nullptr;
  std::int64_t first = 0;
  std::int64_t rows = 0;
  float* y = nullptr;
};

inline constexpr std::int64_t kMaxRows = 512;     // rows of x of one call
inline constexpr std::int64_t kFewRows = 8;       // up to so many go the way of gemm_few.h
inline constexpr std::int64_t kPanel = 64;        // outputs of a panel of gemm_many.h
inline constexpr std::int64_t kMaxPanels = 4;     // of one call
inline constexpr std::int64_t kMaxOutputs = 256;  // their outputs

// What a kernel divides between the threads: `outputs` outputs, `times` over, of about `rows` rows
// of x each. A call of Multiply takes `parts` matrices of `width` columns.
struct Work {
  std::int64_t outputs = 0;
  std::int64_t times = 1;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t parts = 1;
};

// Outputs of one call, so that the threads are busy to the end.
std::int64_t PieceOutputs(const Work& work, int threads);

// Bytes that Multiply needs for so many rows of x, a multiple of 64.
std::size_t MultiplyScratch(const Work& work);

#define BK_GEMM(isa)                                                              \
  namespace isa {                                                                 \
  void Multiply(const Rows& x, const Outputs* outputs, int count, void* scratch); \
  }

// y[i, j] = sum_k x[i, k] * W[first + j, k],  i < x.count, j < rows, for one matrix or two of the
// same width. As many rows as PieceOutputs gives fit.
BK_GEMM(generic)
BK_GEMM(avx2)
BK_GEMM(avx512)
#undef BK_GEMM

}  // namespace birkhoff::cpu
