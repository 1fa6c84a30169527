#include <algorithm>
#include <vector>

#include "kernels/ref/kernels.h"
#include "kernels/ref/mhc.h"

namespace birkhoff::ref {
namespace {

// Divides every row (or column) by its sum + eps.
void Normalise(std::vector<double>& c, std::size_t n, bool columns, double eps) {
  const std::size_t along = columns ? n : 1;
  const std::size_t across = columns ? 1 : n;
  for (std::size_t i = 0; i < n; ++i) {
    double sum = eps;
    for (std::size_t j = 0; j < n; ++j) sum += c[i * across + j * along];
    for (std::size_t j = 0; j < n; ++j) c[i * across + j * along] /= sum;
  }
}

void Sinkhorn(std::vector<double>& c, std::size_t n, double eps, int iterations) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto row = c.begin() + static_cast<std::ptrdiff_t>(i * n);
    const auto end = row + static_cast<std::ptrdiff_t>(n);
    const double largest = *std::max_element(row, end);
    std::for_each(row, end, [&](double& x) { x = std::exp(x - largest); });
  }
  Normalise(c, n, false, 0);
  for (double& x : c) x += eps;
  Normalise(c, n, true, eps);
  for (int i = 1; i < iterations; ++i) {
    Normalise(c, n, false, eps);
    Normalise(c, n, true, eps);
  }
}

}  // namespace

void MhcCoeffs(const MhcCoeffsArgs& a, const Exec&) {
  const MhcSite& s = a.site;
  const auto n = static_cast<std::size_t>(a.hc);
  std::vector<double> comb(n * n);
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const auto logit = [&](std::int64_t row, float scale) {
      return MhcMix(a, t, s.fn, row, s.rms_eps) * scale + s.base[row];
    };
    for (std::int64_t j = 0; j < a.hc; ++j) {
      const std::int64_t at = t * a.hc + j;
      a.pre[at] = static_cast<float>(Sigmoid(logit(j, s.scale[0])) + s.pre_eps);
      a.post[at] = static_cast<float>(s.post_mult * Sigmoid(logit(a.hc + j, s.scale[1])));
    }
    for (std::size_t i = 0; i < n * n; ++i) {
      comb[i] = logit(2 * a.hc + static_cast<std::int64_t>(i), s.scale[2]);
    }
    Sinkhorn(comb, n, s.sinkhorn_eps, s.iterations);
    for (std::size_t i = 0; i < n * n; ++i) {
      a.comb[t * a.hc * a.hc + static_cast<std::int64_t>(i)] = static_cast<float>(comb[i]);
    }
  }
}

}  // namespace birkhoff::ref
