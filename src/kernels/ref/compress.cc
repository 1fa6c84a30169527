#include <algorithm>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// k and z of a channel of the token at a position: from this step, else from the rings. z is f32
// in both, so that it does not matter which.
struct Pooled {
  double k = 0;
  double z = 0;
};

Pooled At(const CompressArgs& a, std::int64_t s, std::int64_t position, std::int64_t channel) {
  const std::int64_t width = (a.overlap ? 2 : 1) * a.dim;
  const std::int64_t past = a.batch.past[s];
  if (position >= past) {
    const std::int64_t i = (a.batch.begin[s] + position - past) * width + channel;
    return {a.k[i], a.g[i] + a.ape[position % a.ratio * width + channel]};
  }
  const std::int64_t capacity = a.k_ring.capacity;
  const std::int64_t i = (a.batch.slot[s] * capacity + position % capacity) * width + channel;
  return {ReadAt<float>(a.k_ring.data, i), ReadAt<float>(a.z_ring.data, i)};
}

double Pool(const CompressArgs& a, std::int64_t s, std::int64_t w, std::int64_t channel) {
  std::vector<Pooled> slots;
  if (a.overlap && w > 0) {
    for (std::int64_t p = (w - 1) * a.ratio; p < w * a.ratio; ++p)
      slots.push_back(At(a, s, p, channel));
  }
  for (std::int64_t p = w * a.ratio; p < (w + 1) * a.ratio; ++p)
    slots.push_back(At(a, s, p, channel + (a.overlap ? a.dim : 0)));
  double top = slots[0].z;
  for (const Pooled& x : slots) top = std::max(top, x.z);
  double num = 0;
  double den = 0;
  for (const Pooled& x : slots) {
    num += std::exp(x.z - top) * x.k;
    den += std::exp(x.z - top);
  }
  return num / den;
}

void WriteEntry(const CompressArgs& a, std::int64_t s, std::int64_t w) {
  std::vector<double> v(static_cast<std::size_t>(a.dim));
  double squares = 0;
  for (std::int64_t c = 0; c < a.dim; ++c) {
    const double x = v[static_cast<std::size_t>(c)] = Pool(a, s, w, c);
    squares += x * x;
  }
  const double rs = 1.0 / std::sqrt(squares / static_cast<double>(a.dim) + a.eps);
  for (std::int64_t c = 0; c < a.dim; ++c) v[static_cast<std::size_t>(c)] *= rs * a.norm[c];
  for (std::int64_t i = 0; i < a.pairs; ++i) {
    const auto position = static_cast<double>(w * a.ratio);
    const double angle = a.precise
                             ? position * a.frequency[i]
                             : static_cast<float>(position) * static_cast<float>(a.frequency[i]);
    double& even = v[static_cast<std::size_t>(a.dim - 2 * a.pairs + 2 * i)];
    double& odd = v[static_cast<std::size_t>(a.dim - 2 * a.pairs + 2 * i + 1)];
    const double rotated = even * std::cos(angle) - odd * std::sin(angle);
    odd = even * std::sin(angle) + odd * std::cos(angle);
    even = rotated;
  }
  const std::int64_t at = (a.batch.slot[s] * a.entries.capacity + w) * a.dim;
  for (std::int64_t c = 0; c < a.dim; ++c)
    Put(a.entries.data, a.type, at + c, v[static_cast<std::size_t>(c)]);
}

void WriteRings(const CompressArgs& a, std::int64_t s) {
  const std::int64_t width = (a.overlap ? 2 : 1) * a.dim;
  const std::int64_t capacity = a.k_ring.capacity;
  const std::int64_t begin = a.batch.begin[s];
  const std::int64_t end = a.batch.begin[s + 1];
  for (std::int64_t t = std::max(begin, end - capacity); t < end; ++t) {
    const std::int64_t position = a.batch.past[s] + t - begin;
    const std::int64_t row = a.batch.slot[s] * capacity + position % capacity;
    for (std::int64_t c = 0; c < width; ++c) {
      static_cast<float*>(a.k_ring.data)[row * width + c] = a.k[t * width + c];
      static_cast<float*>(a.z_ring.data)[row * width + c] =
          a.g[t * width + c] + a.ape[position % a.ratio * width + c];
    }
  }
}

}  // namespace

void Compress(const CompressArgs& a, const Exec&) {
  for (std::int64_t s = 0; s < a.batch.count; ++s) {
    const std::int64_t past = a.batch.past[s];
    const std::int64_t now = past + a.batch.begin[s + 1] - a.batch.begin[s];
    for (std::int64_t w = past / a.ratio; w < now / a.ratio; ++w) WriteEntry(a, s, w);
    WriteRings(a, s);
  }
}

}  // namespace birkhoff::ref
