#include "harness/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numbers>

#include "harness/typed_suite.h"

namespace birkhoff::harness {
namespace {

// Every byte 0xff: a NaN in f32 and bf16, -1 as an integer. Guards have it too, so that reading
// beyond an array is seen as well as writing.
constexpr std::byte kPoison{0xff};
constexpr std::int64_t kGuard = 256;
constexpr std::int64_t kAlign = 64;

std::byte* Aligned(std::byte* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return p + (kAlign - static_cast<std::int64_t>(address % kAlign)) % kAlign;
}

double Element(const Output& o, std::int64_t i) {
  if (o.value) return o.value(i);
  switch (o.dtype) {
    case DType::kF32: return static_cast<const float*>(o.data)[i];
    case DType::kBF16: return static_cast<float>(static_cast<const bf16*>(o.data)[i]);
    case DType::kI32: return static_cast<const std::int32_t*>(o.data)[i];
    default: return std::nan("");
  }
}

// Whether element i still is what Bytes() left there.
bool IsPoison(const Output& o, std::int64_t i) {
  const auto size = static_cast<std::int64_t>(SizeOf(o.dtype));
  const std::byte* p = static_cast<const std::byte*>(o.data) + i * size;
  return std::all_of(p, p + size, [](std::byte b) { return b == kPoison; });
}

void SetQuartiles(const std::vector<double>& sorted, TimeResult& result) {
  result.us = sorted[sorted.size() / 2];
  result.us_p25 = sorted[sorted.size() / 4];
  result.us_p75 = sorted[sorted.size() * 3 / 4];
}

}  // namespace

void* Buffers::Bytes(std::int64_t count) {
  const std::int64_t total = count + 2 * kGuard + kAlign;
  Block block{std::make_unique<std::byte[]>(static_cast<std::size_t>(total)), count};
  std::memset(block.memory.get(), static_cast<int>(kPoison), static_cast<std::size_t>(total));
  blocks_.push_back(std::move(block));
  return Aligned(blocks_.back().memory.get()) + kGuard;
}

float* Buffers::Floats(std::int64_t count, double stddev, double mean) {
  return static_cast<float*>(Values(count, DType::kF32, stddev, mean));
}

void* Buffers::Values(std::int64_t count, DType type, double stddev, double mean) {
  void* data = Bytes(count * static_cast<std::int64_t>(SizeOf(type)));
  for (std::int64_t i = 0; i < count; ++i) {
    // The sum of four uniform variables: near enough to a normal one, and no libm decides its bits.
    const std::uint64_t bits = Next();
    const auto sum = static_cast<double>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                         (bits >> 32 & 0xffff) + (bits >> 48));
    const double normal = (sum / 65535 - 2) * std::numbers::sqrt3;
    const auto value = static_cast<float>(mean + stddev * normal);
    if (type == DType::kBF16) {
      static_cast<bf16*>(data)[i] = bf16(value);
    } else {
      static_cast<float*>(data)[i] = value;
    }
  }
  return data;
}

std::int32_t* Buffers::Ints(std::int64_t count, std::int64_t below) {
  auto* data = static_cast<std::int32_t*>(Bytes(count * 4));
  for (std::int64_t i = 0; i < count; ++i) {
    data[i] = static_cast<std::int32_t>(Next() % static_cast<std::uint64_t>(below));
  }
  return data;
}

// SplitMix64 (S. Vigna, public domain).
std::uint64_t Buffers::Next() {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

double Buffers::Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

std::vector<std::span<std::byte>> Buffers::Blocks() const {
  std::vector<std::span<std::byte>> blocks;
  for (const Block& block : blocks_) {
    blocks.emplace_back(Aligned(block.memory.get()),
                        static_cast<std::size_t>(block.size + 2 * kGuard));
  }
  return blocks;
}

bool Buffers::GuardsIntact() const {
  const auto intact = [](const std::byte* p) {
    return std::all_of(p, p + kGuard, [](std::byte b) { return b == kPoison; });
  };
  return std::all_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    const std::byte* before = Aligned(block.memory.get());
    return intact(before) && intact(before + kGuard + block.size);
  });
}

CheckResult Compare(std::span<const Output> expected, std::span<const Output> actual) {
  CheckResult result;
  result.ok = true;
  for (std::size_t o = 0; o < expected.size(); ++o) {
    const Output& want = expected[o];
    std::int64_t outside = 0;
    double worst_here = -1;
    std::string detail;
    for (std::int64_t i = 0; i < want.elements; ++i) {
      const double e = Element(want, i);
      const double a = Element(actual[o], i);
      const bool both_nan = std::isnan(e) && std::isnan(a);
      // The poison is a NaN too: where one is expected it must have been written.
      const bool unwritten = both_nan && IsPoison(actual[o], i) && !IsPoison(want, i);
      if (e == a || (both_nan && !unwritten)) continue;
      const double bound = want.bound ? want.bound(i, e) : 0;
      const double error = std::abs(a - e);
      const double ratio = std::isnan(error) || bound <= 0 ? HUGE_VAL : error / bound;
      result.worst = std::max(result.worst, ratio);
      if (ratio <= 1) continue;
      ++outside;
      if (ratio <= worst_here) continue;
      worst_here = ratio;
      detail = fmt::format("{}[{}]: expected {:.9g}, got {}, bound {:.3g}", want.name, i, e,
                           unwritten ? "nothing written" : fmt::format("{:.9g}", a), bound);
    }
    if (outside == 0) continue;
    result.ok = false;
    result.detail += fmt::format("{}; {} of {} outside\n", detail, outside, want.elements);
  }
  return result;
}

std::vector<std::byte> BytesOf(std::span<const Output> outputs) {
  std::vector<std::byte> bytes;
  for (const Output& o : outputs) {
    const auto* p = static_cast<const std::byte*>(o.data);
    const std::size_t size = SizeOf(o.dtype);
    const std::size_t at = bytes.size();
    bytes.insert(bytes.end(), p, p + static_cast<std::size_t>(o.elements) * size);
    for (std::int64_t i = 0; i < o.elements; ++i) {
      if (!std::isnan(Element(o, i)) || IsPoison(o, i)) continue;
      std::byte* nan = bytes.data() + at + static_cast<std::size_t>(i) * size;
      std::fill(nan, nan + size - 1, std::byte{0xff});
      nan[size - 1] = std::byte{0x7f};
    }
  }
  return bytes;
}

TimeResult Measure(FunctionRef<void()> run, double seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kLeast = 5;
  run();
  std::vector<double> us;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  while (us.size() < kLeast || std::chrono::duration<double>(last - start).count() < seconds) {
    const Clock::time_point before = Clock::now();
    run();
    last = Clock::now();
    us.push_back(std::chrono::duration<double, std::micro>(last - before).count());
  }
  std::sort(us.begin(), us.end());
  TimeResult result;
  SetQuartiles(us, result);
  return result;
}

bool RotationIsEnough(std::size_t copies, double bytes) {
  constexpr double kCaches = 192e6;  // three times the L2 of an H200
  constexpr std::size_t kMost = 256;
  return copies >= kMost || static_cast<double>(copies) * bytes >= kCaches;
}

TimeResult MeasureGpu(FunctionRef<void(std::size_t i, void* stream)> run, double seconds) {
  constexpr int kLeast = 40;
  constexpr int kMost = 256;
  constexpr int kReplays = 21;
  TimeResult result;
  const auto replay = [&](std::size_t runs, int replays) {
    return TimeGraph(
        [&](void* stream) {
          for (std::size_t i = 0; i < runs; ++i) run(i, stream);
        },
        replays);
  };
  // Fewer runs of what takes long, but forty at least: fewer would time the start of a graph.
  auto once = replay(2, 1);
  if (!once.ok()) return {.error = once.status().message()};
  const double us_each = std::max(once->us.front() / 2, 0.1);  // events tick every half microsecond
  const double fit = seconds * 1e6 / kReplays / us_each;
  const auto runs = static_cast<std::size_t>(std::clamp(fit, double{kLeast}, double{kMost}));
  auto times = replay(runs, kReplays);
  if (!times.ok()) return {.error = times.status().message()};
  for (double& t : times->us) t /= static_cast<double>(runs);
  std::sort(times->us.begin(), times->us.end());
  SetQuartiles(times->us, result);
  result.launches = static_cast<double>(times->launches) / static_cast<double>(runs);
  return result;
}

}  // namespace birkhoff::harness
