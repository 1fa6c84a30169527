// Rows that a thread norms and turns eight channels at a time; see rows.cu.
#pragma once

#include "kernels/args/batch.h"
#include "kernels/gpu/eight.h"

namespace birkhoff::gpu {

// Rows of one kind. Row r is head r % heads of token r / heads.
struct Part {
  const void* x = nullptr;        // row r where XAt() says
  void* out = nullptr;            // [rows, dim], or a ring
  const float* weight = nullptr;  // [dim], or null
  const float* table = nullptr;   // [T, pairs, 2]; null without pairs
  std::int64_t rows = 0;          // T * heads
  std::int64_t tiles = 0;
  std::int64_t x_row = 0;        // elements
  std::int64_t x_token = 0;      // elements; 0: rows are x_row apart throughout
  std::int64_t capacity = 0;     // of the ring; 0: none
  std::int64_t ring_width = 0;   // elements
  std::int64_t ring_column = 0;  // of head 0
  int heads = 1;
  int dim = 0;
  int pairs = 0;
  int rows_each = 0;  // of a tile
  float eps = 0;
  float sign = 1;  // of the sine
  bool half = false;
  bool normed = false;
  bool x_bf16 = true;
  bool out_bf16 = true;
  bool vector = false;  // everything is aligned and even enough for sixteen bytes at a time

  __device__ std::int64_t Token(std::int64_t row) const { return heads == 1 ? row : row / heads; }

  // Element of x where a row begins.
  __device__ std::int64_t XAt(std::int64_t row) const {
    if (x_token == 0) return row * x_row;
    const std::int64_t token = Token(row);
    return token * x_token + (row - token * heads) * x_row;
  }

  // Element of the ring where a row goes, or -1 when a later token of its sequence goes there.
  __device__ std::int64_t RingAt(const SequenceBatch& batch, std::int64_t row) const {
    const std::int64_t token = Token(row);
    std::int64_t low = 0;  // begin[low] <= token < begin[high]
    std::int64_t high = batch.count;
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      (batch.begin[middle] <= token ? low : high) = middle;
    }
    if (token < batch.begin[low + 1] - capacity) return -1;
    const std::int64_t position = batch.past[low] + token - batch.begin[low];
    const std::int64_t ring_row = batch.slot[low] * capacity + position % capacity;
    return ring_row * ring_width + ring_column + (row - token * heads) * dim;
  }
};

// A row as it is read: with its norm, if it has one.
struct Source {
  const void* data;
  bool is_bf16;
  std::int64_t at;
  const float* weight;
  float rs;
  bool normed;

  __device__ Eight Get(int c) const {
    Eight y = ReadEight(data, is_bf16, at + c);
    if (!normed) return y;
#pragma unroll
    for (float& v : y.v) v = __fmul_rn(v, rs);
    if (weight == nullptr) return y;
    const Eight w = ReadEight(weight, false, c);
#pragma unroll
    for (int i = 0; i < 8; ++i) y.v[i] = __fmul_rn(y.v[i], w.v[i]);
    return y;
  }
  __device__ float GetOne(int c) const {
    float y = ReadOne(data, is_bf16, at + c);
    if (normed) y = __fmul_rn(y, rs);
    if (weight != nullptr) y = __fmul_rn(y, weight[c]);
    return y;
  }
};

// (e, o) turned by an angle; see args/rope.h.
__device__ inline void Turn(float& e, float& o, float cosine, float sine) {
  const float first = __fmaf_rn(e, cosine, -__fmul_rn(o, sine));
  o = __fmaf_rn(e, sine, __fmul_rn(o, cosine));
  e = first;
}

// What one thread does at a time: eight channels that stay, four adjacent pairs or eight pairs of
// the halves; without `vector` one channel or one pair. Whole pairs, so that out may be x.
__device__ inline int ItemsOf(const Part& p) {
  const int still = p.dim - 2 * p.pairs;
  return p.vector ? still / 8 + p.pairs / (p.half ? 8 : 4) : still + p.pairs;
}

// One item of a row, to the elements of out from `at` on.
__device__ inline void PutItem(const Part& p, const Source& x, std::int64_t row, int item,
                               std::int64_t at) {
  const int still = p.dim - 2 * p.pairs;
  if (!p.vector) {
    if (item < still) return WriteOne(p.out, p.out_bf16, at + item, x.GetOne(item));
    const int pair = item - still;
    const int first = still + (p.half ? pair : 2 * pair);
    const int second = first + (p.half ? p.pairs : 1);
    const float* entry = p.table + (p.Token(row) * p.pairs + pair) * 2;
    float e = x.GetOne(first);
    float o = x.GetOne(second);
    Turn(e, o, entry[0], __fmul_rn(entry[1], p.sign));
    WriteOne(p.out, p.out_bf16, at + first, e);
    WriteOne(p.out, p.out_bf16, at + second, o);
    return;
  }
  if (8 * item < still) return WriteEight(p.out, p.out_bf16, at + 8 * item, x.Get(8 * item));
  const int k = item - still / 8;
  const int first = still + 8 * k;
  const float* table = p.table + p.Token(row) * p.pairs * 2;
  Eight e = x.Get(first);
  if (!p.half) {
    const Eight angles = ReadEight(table, false, 8 * k);
#pragma unroll
    for (int i = 0; i < 8; i += 2)
      Turn(e.v[i], e.v[i + 1], angles.v[i], __fmul_rn(angles.v[i + 1], p.sign));
    return WriteEight(p.out, p.out_bf16, at + first, e);
  }
  const int second = first + p.pairs;
  Eight o = x.Get(second);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Eight angles = ReadEight(table, false, 16 * k + 8 * half);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      Turn(e.v[4 * half + i], o.v[4 * half + i], angles.v[2 * i],
           __fmul_rn(angles.v[2 * i + 1], p.sign));
  }
  WriteEight(p.out, p.out_bf16, at + first, e);
  WriteEight(p.out, p.out_bf16, at + second, o);
}

}  // namespace birkhoff::gpu
