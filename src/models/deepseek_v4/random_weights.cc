#include "models/deepseek_v4/random_weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "base/thread_pool.h"
#include "birkhoff/device.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

constexpr double kGiB = 1 << 30;

// Eight bytes of a tensor are (random & keep) + add: `add` sets the exponent of each element,
// `keep` lets through its sign and mantissa.
struct Pattern {
  std::uint64_t keep = 0;
  std::uint64_t add = 0;
};

Pattern Repeat(std::uint64_t keep, std::uint64_t add, std::size_t element_bytes) {
  const std::uint64_t ones = element_bytes == 1   ? 0x0101010101010101u
                             : element_bytes == 2 ? 0x0001000100010001u
                                                  : 0x0000000100000001u;
  return {keep * ones, add * ones};
}

// Powers of two that set magnitudes: elements lie in +-[2^e, 2^(e+1)).
int LinearExponent(std::int64_t cols) {
  return -static_cast<int>(std::lround(0.5 * std::log2(static_cast<double>(cols)))) - 1;
}

Pattern FloatPattern(DType dtype, bool is_norm, int exponent) {
  const auto biased = std::uint64_t{127} + static_cast<std::uint64_t>(exponent);
  if (dtype == DType::kF32) {
    return is_norm ? Repeat(0x000fffff, 0x3f800000, 4) : Repeat(0x807fffff, biased << 23, 4);
  }
  return is_norm ? Repeat(0x000f, 0x3f80, 2) : Repeat(0x807f, biased << 7, 2);
}

// `cols` is the width of the matrix: of the scaled one when the tensor is a scale.
Pattern PatternOf(const TensorSpec& t, std::int64_t cols, DType scaled) {
  if (t.name.ends_with(".scale")) {
    // Unscaled FP8 elements lie in +-[0.5, 2), MXFP4 ones are 3 on average.
    const int exponent = LinearExponent(cols) - (scaled == DType::kF8E4M3 ? 0 : 2);
    const auto biased = std::uint64_t{127} + static_cast<std::uint64_t>(exponent);
    return t.dtype == DType::kF32 ? Repeat(0x007fffff, biased << 23, 4) : Repeat(1, biased, 1);
  }
  if (t.dtype == DType::kF8E4M3) return Repeat(0x8f, 0x30, 1);
  if (t.dtype == DType::kI8) return {~0ull, 0};
  const bool is_norm = t.name.ends_with("norm.weight");
  const bool is_linear =
      t.shape.rank() == 2 && t.name != "embed.weight" && !t.name.ends_with(".ape");
  const int exponent = is_linear ? LinearExponent(cols) : t.name.ends_with(".bias") ? -4 : -1;
  return FloatPattern(t.dtype, is_norm, exponent);
}

// SplitMix64 as a function of the counter: any part of a tensor can be made by itself.
std::uint64_t Random(std::uint64_t seed, std::uint64_t counter) {
  std::uint64_t z = seed + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

struct Fill {
  std::byte* data = nullptr;
  std::uint64_t words = 0;  // of 8 bytes; the last may reach into the padding
  std::uint64_t seed = 0;
  Pattern pattern = {};
  std::int64_t experts = 0;  // > 0: a table of expert ids, `per_token` words a row
  std::int64_t per_token = 0;
};

void Run(const Fill& fill, std::uint64_t begin, std::uint64_t end) {
  auto* out = reinterpret_cast<std::uint64_t*>(fill.data);
  if (fill.experts == 0) {
    for (std::uint64_t i = begin; i < end; ++i) {
      out[i] = (Random(fill.seed, i) & fill.pattern.keep) + fill.pattern.add;
    }
    return;
  }
  const auto experts = static_cast<std::uint64_t>(fill.experts);
  const auto per_token = static_cast<std::uint64_t>(fill.per_token);
  for (std::uint64_t i = begin; i < end; ++i) {
    // Neighbours from a random first one on: distinct, since per_token <= experts.
    out[i] = (Random(fill.seed, i / per_token) % experts + i % per_token) % experts;
  }
}

// Pieces of at most kPieceWords, so that one large tensor is shared by all threads.
void RunAll(const std::vector<Fill>& fills, ThreadPool& pool) {
  constexpr std::uint64_t kPieceWords = 1 << 19;
  std::vector<std::pair<const Fill*, std::uint64_t>> pieces;
  for (const Fill& fill : fills) {
    for (std::uint64_t i = 0; i < fill.words; i += kPieceWords) pieces.emplace_back(&fill, i);
  }
  pool.ParallelFor(std::ssize(pieces), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto& [fill, first] = pieces[static_cast<std::size_t>(i)];
      Run(*fill, first, std::min(first + kPieceWords, fill->words));
    }
  });
}

}  // namespace

Result<RandomWeights> RandomWeights::Make(const Config& config, Quantisation quantisation,
                                          std::uint64_t seed, ThreadPool& pool) {
  const double wanted = EstimateBytes(config, quantisation);
  const auto present = static_cast<double>(HostDevice().memory_bytes);
  if (present > 0 && wanted > present) {
    return Status::OutOfRange(
        fmt::format("random weights: this config takes {:.4g} GiB, the machine has {:.4g} GiB",
                    wanted / kGiB, present / kGiB));
  }
  constexpr std::size_t kAlignment = 64;
  const auto padded = [](const TensorSpec& t) {
    const auto bytes = static_cast<std::size_t>(t.shape.elements()) * SizeOf(t.dtype);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  };
  const std::vector<TensorSpec> specs = ReleaseTensors(config, quantisation);
  std::size_t total = 0;
  for (const TensorSpec& t : specs) total += padded(t);

  RandomWeights weights;
  BK_ASSIGN_OR_RETURN(weights.memory_, ReservedMemory::Make(total, ReservedMemory::Pages::kLarge));

  std::vector<Fill> fills;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const TensorSpec& t = specs[i];
    // A scale follows its weight.
    const bool is_scale = t.name.ends_with(".scale");
    const TensorSpec& matrix = is_scale ? specs[i - 1] : t;
    const std::int64_t stored = matrix.shape[matrix.shape.rank() - 1];
    const std::int64_t cols = matrix.dtype == DType::kI8 ? 2 * stored : stored;
    const bool table = t.dtype == DType::kI64;
    fills.push_back({.data = weights.memory_.data() + offset,
                     .words = padded(t) / 8,
                     .seed = Random(seed, i),
                     .pattern = PatternOf(t, cols, matrix.dtype),
                     .experts = table ? config.experts : 0,
                     .per_token = config.experts_per_token});
    weights.tensors_[t.name] = {fills.back().data, t.dtype, t.shape};
    offset += padded(t);
  }
  RunAll(fills, pool);
  return weights;
}

std::vector<std::string> RandomWeights::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

Result<ConstTensorView> RandomWeights::Find(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return Status::NotFound(fmt::format("{} does not exist", Where(name)));
  return it->second;
}

std::string RandomWeights::Where(std::string_view name) const {
  return fmt::format("random weights: {}", name);
}

}  // namespace birkhoff::models::deepseek_v4
