// Products of rows of activations with rows of a weight matrix: the common part of Linear and
// Experts.
//
// The order of additions is that of LinearArgs and the same on both ways through:
//   few rows of x   weights are widened in registers, four rows at a time, and used at once: the
//                   speed is that of reading them from memory
//   many rows of x  a panel of weights is widened to scratch of the size of L2, then tiles of
//                   16-lane accumulators run over it in blocks of columns that fit L1
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
};

inline constexpr std::int64_t kMaxRows = 512;  // rows of x of one call
inline constexpr std::int64_t kPanel = 96;     // rows of W of one call

// Rows of W for one call so that `total` of them, `times` over, keep the threads busy to the end.
std::int64_t PieceRows(std::int64_t total, std::int64_t times, int threads);

// Bytes that Multiply needs for so many rows of x, a multiple of 64.
std::size_t MultiplyScratch(std::int64_t rows, std::int64_t width);

#define BK_GEMM(isa)                                                                         \
  namespace isa {                                                                            \
  void Multiply(const Rows& x, const WeightMatrix& w, std::int64_t first, std::int64_t rows, \
                float* y, void* scratch);                                                    \
  }

// y[i, j] = sum_k x[i, k] * W[first + j, k],  i < x.count, j < rows <= kPanel;  y is [count,
// kPanel]
BK_GEMM(generic)
BK_GEMM(avx2)
BK_GEMM(avx512)
#undef BK_GEMM

}  // namespace birkhoff::cpu
