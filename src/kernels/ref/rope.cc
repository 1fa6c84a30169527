#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {

void Rope(const RopeArgs& a, const Exec&) {
  const std::int64_t still = a.dim - 2 * a.pairs;
  const bool half = a.pairing == RopePairing::kHalf;
  for (std::int64_t head = 0; head < a.tokens * a.heads; ++head) {
    const std::int64_t token = head / a.heads;
    const std::int64_t from = a.x_at(token, head % a.heads);
    const std::int64_t to = head * a.dim;
    for (std::int64_t i = 0; i < still; ++i) {
      Put(a.out, a.out_type, to + i, Get(a.x, a.x_type, from + i));
    }
    for (std::int64_t i = 0; i < a.pairs; ++i) {
      const std::int64_t first = still + (half ? i : 2 * i);
      const std::int64_t second = first + (half ? a.pairs : 1);
      const double e = Get(a.x, a.x_type, from + first);
      const double o = Get(a.x, a.x_type, from + second);
      const float* entry = a.table + (token * a.pairs + i) * 2;
      const double c = entry[0];
      const double s = a.inverse ? -entry[1] : entry[1];
      Put(a.out, a.out_type, to + first, e * c - o * s);
      Put(a.out, a.out_type, to + second, e * s + o * c);
    }
  }
}

void RopeTable(const RopeTableArgs& a, const Exec&) {
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    for (std::int64_t i = 0; i < a.pairs; ++i) {
      const double f = a.frequency[i];
      const float rounded = static_cast<float>(a.positions[t]) * static_cast<float>(f);
      const double angle = a.precise ? a.positions[t] * f : rounded;
      a.table[(t * a.pairs + i) * 2] = static_cast<float>(std::cos(angle));
      a.table[(t * a.pairs + i) * 2 + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace birkhoff::ref
