// Steps of several sequences and the state that they find, for the cases of the ops that read it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "harness/problems.h"
#include "kernels/args/batch.h"

namespace birkhoff::harness {

constexpr DType kB = DType::kBF16;
constexpr DType kF = DType::kF32;

inline std::int64_t Bytes(DType t) { return static_cast<std::int64_t>(SizeOf(t)); }

// One sequence of a step: tokens it had before and tokens it brings.
struct Sequence {
  std::int64_t past = 0;
  std::int64_t count = 0;
};
using Step = std::vector<Sequence>;

inline std::string ToString(const Step& step) {
  if (step.empty()) return "no sequence";
  std::string s = "seqs=";
  for (const Sequence& q : step) s += fmt::format("{}+{},", q.past, q.count);
  s.pop_back();
  return s;
}

inline std::int64_t Tokens(const Step& step) {
  return std::accumulate(step.begin(), step.end(), std::int64_t{0},
                         [](std::int64_t n, const Sequence& s) { return n + s.count; });
}

// Slots in descending order: sequence s is not at slot s.
inline SequenceBatch MakeBatch(Buffers& buffers, const Step& step) {
  const auto n = static_cast<std::int64_t>(step.size());
  auto* begin = static_cast<std::int32_t*>(buffers.Bytes(4 * (n + 1)));
  auto* slot = static_cast<std::int32_t*>(buffers.Bytes(4 * n));
  auto* past = static_cast<std::int64_t*>(buffers.Bytes(8 * n));
  begin[0] = 0;
  for (std::int64_t s = 0; s < n; ++s) {
    const Sequence& q = step[static_cast<std::size_t>(s)];
    begin[s + 1] = begin[s] + static_cast<std::int32_t>(q.count);
    slot[s] = static_cast<std::int32_t>(n - s);
    past[s] = q.past;
  }
  return {n, begin, slot, past};
}

// State for one slot more than the step uses, all poison.
inline StateRows MakeState(Buffers& buffers, const Step& step, std::int64_t capacity,
                           std::int64_t width, DType type) {
  const auto slots = static_cast<std::int64_t>(step.size()) + 1;
  return {buffers.Bytes(slots * capacity * width * Bytes(type)), capacity, width};
}

// Where row `row` of a slot lies.
inline void* RowOf(const StateRows& state, std::int64_t slot, std::int64_t row, DType type) {
  return static_cast<std::byte*>(state.data) +
         (slot * state.capacity + row) * state.width * Bytes(type);
}

// Copies the rows of `values` (one after another) to the ring rows of [first, last), or to the rows
// themselves when the capacity exceeds them.
inline void WriteRows(const StateRows& state, std::int64_t slot, std::int64_t first,
                      std::int64_t last, const void* values, DType type) {
  const std::int64_t bytes = state.width * Bytes(type);
  for (std::int64_t p = first; p < last; ++p) {
    std::memcpy(RowOf(state, slot, p % state.capacity, type),
                static_cast<const std::byte*>(values) + (p - first) * bytes,
                static_cast<std::size_t>(bytes));
  }
}

inline double Value(const void* data, DType type, std::int64_t i) {
  if (type == kF) return static_cast<const float*>(data)[i];
  return static_cast<float>(static_cast<const bf16*>(data)[i]);
}

// Largest |x| and largest Euclidean norm of a row of an array.
struct Magnitude {
  double element = 0;
  double row = 0;

  void Add(const void* data, DType type, std::int64_t rows, std::int64_t width) {
    for (std::int64_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        const double x = Value(data, type, r * width + i);
        element = std::max(element, std::abs(x));
        squares += x * x;
      }
      row = std::max(row, std::sqrt(squares));
    }
  }
};

}  // namespace birkhoff::harness
