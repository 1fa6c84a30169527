// What the case lists share: names, outputs and the usual bounds.
#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "harness/typed_suite.h"

namespace birkhoff::harness {

constexpr DType kF32 = DType::kF32;
constexpr DType kBF16 = DType::kBF16;

using Bound = std::function<double(std::int64_t i, double expected)>;

inline std::string_view Short(DType t) { return t == kBF16 ? "bf16" : "f32"; }

inline std::int64_t ByteSize(DType t, std::int64_t elements) {
  return elements * static_cast<std::int64_t>(SizeOf(t));
}

// A poisoned output.
inline Output NewOutput(Buffers& buffers, std::string name, DType type, std::int64_t elements,
                        Bound bound = {}) {
  return {std::move(name), buffers.Bytes(ByteSize(type, elements)), type, elements,
          std::move(bound)};
}

// Definition and kernel each round once to `type`; `ulps` roundings to f32 stand before that.
inline double Rounded(DType type, double expected, double ulps = 0) {
  return std::abs(expected) * (2 * HalfUlp(type) + ulps * kF32Eps) + 0x1p-149;
}

inline Bound Relative(DType type, double ulps) {
  return [=](std::int64_t, double expected) { return Rounded(type, expected, ulps); };
}

}  // namespace birkhoff::harness
