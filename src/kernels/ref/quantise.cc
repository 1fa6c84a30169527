#include "kernels/args/quantise.h"

#include <vector>

#include "kernels/ref/fp8.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// Element i of an array.
const void* At(const void* p, DType type, std::int64_t i) {
  return static_cast<const std::byte*>(p) + i * static_cast<std::int64_t>(SizeOf(type));
}
void* At(void* p, DType type, std::int64_t i) {
  return static_cast<std::byte*>(p) + i * static_cast<std::int64_t>(SizeOf(type));
}

}  // namespace

void Quantise(const QuantiseArgs& a, const Exec&) {
  for (std::int64_t r = 0; r < a.rows; ++r) PutFp8(a.x, a.type, r * a.x_step(), a.fp8, r, a.width);
}

// The unfused definitions, row by row.

void RmsNormQuantise(const RmsNormQuantiseArgs& a, const Exec& exec) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    RmsNorm({.x = At(a.x, a.x_type, r * a.x_step()),
             .weight = a.weight,
             .out = At(a.out, a.out_type, r * a.width),
             .x_type = a.x_type,
             .out_type = a.out_type,
             .rows = 1,
             .width = a.width,
             .eps = a.eps},
            exec);
    PutFp8(a.out, a.out_type, r * a.width, a.fp8, r, a.width);
  }
}

void SwigluQuantise(const SwigluQuantiseArgs& a, const Exec& exec) {
  std::vector<float> row(static_cast<std::size_t>(a.width));  // room for either type
  for (std::int64_t r = 0; r < a.rows; ++r) {
    Swiglu({.gate = At(a.gate, a.type, r * a.width),
            .up = At(a.up, a.type, r * a.width),
            .out = row.data(),
            .type = a.type,
            .rows = 1,
            .width = a.width,
            .limit = a.limit},
           exec);
    PutFp8(row.data(), a.type, 0, a.fp8, r, a.width);
  }
}

}  // namespace birkhoff::ref
