#include "harness/fp8_outputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/args/fp8.h"
#include "kernels/ref/fp8.h"

namespace birkhoff::harness {
namespace {

double ScaleAt(const Fp8Rows& rows, std::int64_t i) {
  return rows.format.scale == Fp8Scale::kE8M0
             ? ref::E8M0(static_cast<const std::uint8_t*>(rows.scale)[i])
             : static_cast<double>(static_cast<const float*>(rows.scale)[i]);
}

// Where the scale of element i lies.
std::int64_t ScaleIndex(const Fp8Shape& s, const Fp8Rows& rows, std::int64_t i) {
  return i / s.width * rows.scale_row + i % s.width / s.format.group * rows.scale_group;
}

double ValueAt(const Fp8Shape& s, const Fp8Rows& rows, std::int64_t i) {
  return ref::E4M3(static_cast<const std::uint8_t*>(rows.data)[i]) *
         ScaleAt(rows, ScaleIndex(s, rows, i));
}

// The most that |x| can have been where this came of it: a rounding is half a step, 2^-4 of a value
// or 2^-10 of the scale.
double MostOf(double value, double scale) { return 1.07 * std::abs(value) + 0x1p-10 * scale; }

}  // namespace

std::int64_t Fp8Shape::groups() const { return fp8::GroupsOf(format, width); }

double Fp8Shape::bytes() const {
  const std::int64_t of_scale = format.scale == Fp8Scale::kE8M0 ? 1 : 4;
  return static_cast<double>(rows * (width + groups() * of_scale));
}

std::string_view Name(Fp8Scale scale) {
  switch (scale) {
    case Fp8Scale::kF32: return "f32";
    case Fp8Scale::kPowerOfTwo: return "power of two";
    case Fp8Scale::kE8M0: return "e8m0";
  }
  return {};
}

Fp8Rows AddFp8(Buffers& buffers, const Fp8Shape& s, Bound of_x, std::vector<Output>& to) {
  const std::int64_t groups = s.groups();
  const bool by_group = s.format.scale == Fp8Scale::kPowerOfTwo;
  const std::int64_t padded = (s.rows + 3) / 4 * 4;
  Output rows = NewOutput(buffers, "fp8", DType::kF8E4M3, s.rows * s.width);
  Output scales =
      NewOutput(buffers, "scale", s.format.scale == Fp8Scale::kE8M0 ? DType::kF8E8M0 : kF32,
                (by_group ? padded : s.rows) * groups);
  const Fp8Rows fp8 = {.data = rows.data,
                       .scale = scales.data,
                       .format = s.format,
                       .scale_row = by_group ? 1 : groups,
                       .scale_group = by_group ? padded : 1};
  rows.value = [=](std::int64_t i) { return ValueAt(s, fp8, i); };
  scales.value = [=](std::int64_t i) { return ScaleAt(fp8, i); };
  if (!of_x) {
    to.push_back(std::move(rows));
    to.push_back(std::move(scales));
    return fp8;
  }
  // Both round: x and what it errs by. The scale of the other may be twice this one.
  rows.bound = [=](std::int64_t i, double expected) {
    const double scale = ScaleAt(fp8, ScaleIndex(s, fp8, i));
    const double most = MostOf(expected, scale);
    return 1.0625 * of_x(i, most) + 0.125 * most + 3 * 0x1p-10 * scale;
  };
  // A power of two is the next one where x errs by little; else the largest error counts.
  scales.bound = [=](std::int64_t i, double expected) {
    if (s.format.scale != Fp8Scale::kF32) return expected;
    const std::int64_t begin = i / groups * s.width + i % groups * s.format.group;
    const std::int64_t end = std::min(begin + s.format.group, (i / groups + 1) * s.width);
    double worst = 0;
    for (std::int64_t e = begin; e < end; ++e)
      worst = std::max(worst, of_x(e, MostOf(ValueAt(s, fp8, e), expected)));
    return worst / 448 + 2 * kF32Eps * expected;
  };
  to.push_back(std::move(rows));
  to.push_back(std::move(scales));
  return fp8;
}

std::string DiffersFromFp8Of(const void* x, DType type, std::int64_t step, const Fp8Shape& s,
                             const Fp8Rows& rows) {
  const auto elements = static_cast<std::size_t>(s.rows * s.width);
  const std::int64_t groups = s.groups();
  const std::size_t size = rows.format.scale == Fp8Scale::kE8M0 ? 1 : sizeof(float);
  std::vector<std::uint8_t> data(elements);
  std::vector<std::uint8_t> scale(static_cast<std::size_t>(s.rows * groups) * size);
  const Fp8Rows want = {.data = data.data(), .scale = scale.data(), .format = rows.format};
  for (std::int64_t t = 0; t < s.rows; ++t) ref::PutFp8(x, type, t * step, want, t, s.width);
  const auto* got = static_cast<const std::uint8_t*>(rows.data);
  for (std::size_t i = 0; i < elements; ++i) {
    if (got[i] != data[i])
      return fmt::format("fp8[{}]: got {:#x}, of x comes {:#x}\n", i, got[i], data[i]);
  }
  for (std::int64_t i = 0; i < s.rows * groups; ++i) {
    const std::int64_t at = i / groups * rows.scale_row + i % groups * rows.scale_group;
    const auto* p = static_cast<const std::byte*>(rows.scale) + at * static_cast<int>(size);
    if (std::memcmp(p, scale.data() + static_cast<std::size_t>(i) * size, size) != 0)
      return fmt::format("scale of row {}, group {}: got {}, of x comes {}\n", i / groups,
                         i % groups, ScaleAt(rows, at), ScaleAt(want, i));
  }
  return {};
}

}  // namespace birkhoff::harness
