#include "models/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace birkhoff::models {

std::vector<double> RopeFrequencies(std::int64_t dim, double base, const YarnScaling* yarn) {
  const auto d = static_cast<double>(dim);
  std::vector<double> f(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < f.size(); ++i)
    f[i] = std::pow(base, -2.0 * static_cast<double>(i) / d);
  if (yarn == nullptr) return f;

  // The pair that turns `rotations` times over the original context.
  const auto pair = [&](double rotations) {
    return d * std::log(yarn->original_positions / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(base));
  };
  const double low = std::max(std::floor(pair(yarn->beta_fast)), 0.0);
  double high = std::min(std::ceil(pair(yarn->beta_slow)), d - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    f[i] = f[i] / yarn->factor * ramp + f[i] * (1 - ramp);
  }
  return f;
}

}  // namespace birkhoff::models
