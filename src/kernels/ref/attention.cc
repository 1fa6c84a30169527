#include <algorithm>
#include <vector>

#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

// A visible key: element i of it is Get(data, type, at + i).
struct Key {
  const void* data = nullptr;
  std::int64_t at = 0;
};

std::vector<Key> VisibleKeys(const AttentionArgs& a, std::int64_t s, std::int64_t t) {
  const std::int64_t past = a.batch.past[s];
  const std::int64_t slot = a.batch.slot[s];
  const std::int64_t position = past + t - a.batch.begin[s];
  std::vector<Key> keys;
  std::int64_t entries = a.ratio > 0 ? (position + 1) / a.ratio : 0;
  if (a.selected != nullptr) entries = std::min(entries, a.topk);
  for (std::int64_t i = 0; i < entries; ++i) {
    const std::int64_t w = a.selected != nullptr ? a.selected[t * a.topk + i] : i;
    keys.push_back({a.entries.data, (slot * a.entries.capacity + w) * a.dim});
  }
  for (std::int64_t p = std::max<std::int64_t>(0, position - a.window + 1); p <= position; ++p) {
    if (p >= past) {
      keys.push_back({a.kv, (a.batch.begin[s] + p - past) * a.dim});
    } else {
      const std::int64_t row = slot * a.window_ring.capacity + p % a.window_ring.capacity;
      keys.push_back({a.window_ring.data, row * a.dim});
    }
  }
  return keys;
}

void Attend(const AttentionArgs& a, const std::vector<Key>& keys, std::int64_t q, double sink) {
  std::vector<double> score;
  double top = sink;
  for (const Key& key : keys) {
    double dot = 0;
    for (std::int64_t i = 0; i < a.dim; ++i)
      dot += Get(a.q, a.type, q + i) * Get(key.data, a.type, key.at + i);
    score.push_back(dot * a.scale);
    top = std::max(top, score.back());
  }
  double sum = std::exp(sink - top);
  for (double& x : score) sum += x = std::exp(x - top);
  for (std::int64_t i = 0; i < a.dim; ++i) {
    double v = 0;
    for (std::size_t k = 0; k < keys.size(); ++k)
      v += score[k] * Get(keys[k].data, a.type, keys[k].at + i);
    Put(a.out, a.out_type, q + i, v / sum);
  }
}

}  // namespace

void Attention(const AttentionArgs& a, const Exec&) {
  for (std::int64_t s = 0; s < a.batch.count; ++s) {
    for (std::int64_t t = a.batch.begin[s]; t < a.batch.begin[s + 1]; ++t) {
      const std::vector<Key> keys = VisibleKeys(a, s, t);
      for (std::int64_t h = 0; h < a.heads; ++h)
        Attend(a, keys, (t * a.heads + h) * a.dim, a.sink[h]);
    }
  }
}

}  // namespace birkhoff::ref
