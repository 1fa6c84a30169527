#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// Column c of row m, as the f32 that every kernel multiplies with.
double X(const LinearArgs& a, std::int64_t m, std::int64_t c) {
  const std::int64_t i = m * a.x_stride() + c;
  if (a.x_type != DType::kF8E4M3) return Get(a.x, a.x_type, i);
  const double scale = a.x_scale[m * a.x_scales() + c / a.x_group];
  return static_cast<float>(E4M3(ReadAt<std::uint8_t>(a.x, i)) * scale);
}

}  // namespace

void Linear(const LinearArgs& a, const Exec&) {
  const std::int64_t width = a.k();
  std::vector<double> w(static_cast<std::size_t>(width));
  for (std::int64_t n = 0; n < a.w.rows; ++n) {
    for (std::int64_t k = 0; k < width; ++k) w[static_cast<std::size_t>(k)] = Weight(a.w, n, k);
    const std::int64_t group = n / a.n();
    for (std::int64_t m = 0; m < a.rows; ++m) {
      double sum = 0;
      for (std::int64_t k = 0; k < width; ++k)
        sum += X(a, m, group * width + k) * w[static_cast<std::size_t>(k)];
      Put(a.out, a.out_type, m * a.out_stride() + n, sum);
    }
  }
}

}  // namespace birkhoff::ref
