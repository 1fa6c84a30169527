#include "runtime/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace birkhoff::runtime {
namespace {

// One step of SplitMix64 (Steele, Lea, Flood 2014): a bijection that scatters consecutive inputs.
std::uint64_t Mix(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Uniform in [0, 1), a function of its arguments alone.
double Uniform(std::uint64_t seed, std::int64_t position) {
  const std::uint64_t bits = Mix(Mix(seed) ^ static_cast<std::uint64_t>(position));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Status OutOf(const char* name, double value, const char* range) {
  return Status::InvalidArgument(fmt::format("{}: expected {}, got {}", name, range, value));
}

}  // namespace

Status Validate(const SamplingOptions& o) {
  if (!(o.temperature >= 0) || std::isinf(o.temperature))
    return OutOf("temperature", o.temperature, "a number >= 0");
  if (o.top_k < 0) return OutOf("top_k", o.top_k, "0 (off) or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) return OutOf("top_p", o.top_p, "a number in (0, 1]");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return OutOf("min_p", o.min_p, "a number in [0, 1]");
  if (!(o.repetition_penalty > 0) || std::isinf(o.repetition_penalty)) {
    return OutOf("repetition_penalty", o.repetition_penalty, "a number > 0");
  }
  return {};
}

std::int32_t ArgMax(std::span<const float> logits) {
  std::size_t best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > largest) {
      largest = logits[i];
      best = i;
    }
  }
  return static_cast<std::int32_t>(best);
}

Sampler::Sampler(const SamplingOptions& options, std::int64_t vocab)
    : options_(options),
      candidates_(static_cast<std::size_t>(vocab)),
      weight_(static_cast<std::size_t>(vocab)),
      penalised_(static_cast<std::size_t>(vocab)) {}

std::int32_t Sampler::Draw(std::span<const float> logits, std::span<const std::int32_t> history,
                           std::int64_t position) {
  const bool penalise = options_.repetition_penalty != 1.0f;
  if (options_.temperature == 0 && !penalise) return ArgMax(logits);

  float largest = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = std::isnan(logits[i]) ? -std::numeric_limits<float>::infinity() : logits[i];
    candidates_[i] = {logit, static_cast<std::int32_t>(i)};
  }
  if (penalise) Penalise(history);
  std::size_t best = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].logit > largest) {
      largest = candidates_[i].logit;
      best = i;
    }
  }
  if (options_.temperature == 0 || !std::isfinite(largest)) return static_cast<std::int32_t>(best);

  std::size_t kept = KeepTopK();
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    weight_[i] =
        std::exp((static_cast<double>(candidates_[i].logit) - largest) / options_.temperature);
    total += weight_[i];
  }
  if (options_.top_p < 1) kept = KeepTopP(kept, total);

  // The largest weight is 1, so min_p compares with it directly.
  total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    if (weight_[i] < options_.min_p) weight_[i] = 0;
    total += weight_[i];
  }
  double target = Uniform(options_.seed, position) * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    if (weight_[i] == 0) continue;
    last = i;
    target -= weight_[i];
    if (target < 0) break;
  }
  return candidates_[last].token;
}

void Sampler::Penalise(std::span<const std::int32_t> history) {
  ++draws_;
  for (const std::int32_t token : history) {
    const auto i = static_cast<std::size_t>(token);
    if (penalised_[i] == draws_) continue;
    penalised_[i] = draws_;
    float& logit = candidates_[i].logit;
    logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
  }
}

namespace {

struct Better {
  template <class C>
  bool operator()(const C& a, const C& b) const {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
};

}  // namespace

std::size_t Sampler::KeepTopK() {
  const std::size_t k = static_cast<std::size_t>(options_.top_k);
  if (k == 0 || k >= candidates_.size()) return candidates_.size();
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(k);
  std::nth_element(candidates_.begin(), end, candidates_.end(), Better());
  std::sort(candidates_.begin(), end,
            Better());  // so that the draw does not depend on the library's selection
  return k;
}

// The smallest set of the most likely tokens whose probabilities add up to top_p. Sorts only as far
// as it has to.
std::size_t Sampler::KeepTopP(std::size_t kept, double total) {
  double sum = 0;
  std::size_t done = 0;
  for (std::size_t piece = 256; done < kept; piece *= 4) {
    const std::size_t end = std::min(kept, done + piece);
    const auto first = candidates_.begin() + static_cast<std::ptrdiff_t>(done);
    std::partial_sort(first, candidates_.begin() + static_cast<std::ptrdiff_t>(end),
                      candidates_.begin() + static_cast<std::ptrdiff_t>(kept), Better());
    const float largest = candidates_[0].logit;
    for (; done < end; ++done) {
      weight_[done] =
          std::exp((static_cast<double>(candidates_[done].logit) - largest) / options_.temperature);
      sum += weight_[done];
      if (sum >= options_.top_p * total) return done + 1;
    }
  }
  return kept;
}

}  // namespace birkhoff::runtime
