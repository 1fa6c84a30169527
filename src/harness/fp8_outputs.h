// Rows in FP8 as outputs of a case.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "birkhoff/ops/fp8.h"
#include "harness/problems.h"

namespace birkhoff::harness {

struct Fp8Shape {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  Fp8Format format = {};

  std::int64_t groups() const;  // of a row
  double bytes() const;         // of rows and scales
};

// "e8m0"
std::string_view Name(Fp8Scale scale);

// Adds rows of FP8 and their scales, those of kPowerOfTwo column after column. of_x is the bound of
// what is quantised, which grows with what is expected; null: it is exact, and so is FP8.
Fp8Rows AddFp8(Buffers& buffers, const Fp8Shape& s, Bound of_x, std::vector<Output>& to);

// What is not as a quantiser of its own makes it of x, a row every `step` elements; empty:
// everything is.
std::string DiffersFromFp8Of(const void* x, DType type, std::int64_t step, const Fp8Shape& s,
                             const Fp8Rows& rows);

}  // namespace birkhoff::harness
