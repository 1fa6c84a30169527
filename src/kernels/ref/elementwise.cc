#include "kernels/ref/elements.h"
#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

void CopyRow(void* to, std::int64_t to_row, const void* from, std::int64_t from_row,
             std::int64_t width, DType type) {
  const auto bytes = static_cast<std::size_t>(width) * SizeOf(type);
  std::memcpy(static_cast<std::byte*>(to) + static_cast<std::size_t>(to_row) * bytes,
              static_cast<const std::byte*>(from) + static_cast<std::size_t>(from_row) * bytes,
              bytes);
}

}  // namespace

void Add(const AddArgs& a, const Exec&) {
  for (std::int64_t r = 0; r < a.rows * a.repeat; ++r) {
    for (std::int64_t i = 0; i < a.width; ++i) {
      const double x = Get(a.a, a.a_type, r / a.repeat * a.width + i);
      const double y = Get(a.b, a.b_type, r * a.width + i);
      Put(a.out, a.out_type, r * a.width + i, x + y);
    }
  }
}

void Broadcast(const BroadcastArgs& a, const Exec&) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    for (std::int64_t j = 0; j < a.copies; ++j) {
      CopyRow(a.out, r * a.copies + j, a.x, r, a.width, a.type);
    }
  }
}

void Concat(const ConcatArgs& a, const Exec&) {
  const auto element = SizeOf(a.type);
  const auto copy = [&](const void* from, std::int64_t row, std::int64_t i, std::int64_t to) {
    std::memcpy(static_cast<std::byte*>(a.out) + static_cast<std::size_t>(to) * element,
                static_cast<const std::byte*>(from) + static_cast<std::size_t>(row + i) * element,
                element);
  };
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const std::int64_t out = r * (a.a_width + a.b_width);
    for (std::int64_t i = 0; i < a.a_width; ++i) copy(a.a, r * a.a_row, i, out + i);
    for (std::int64_t i = 0; i < a.b_width; ++i) copy(a.b, r * a.b_row, i, out + a.a_width + i);
  }
}

void GatherRows(const GatherRowsArgs& a, const Exec&) {
  for (std::int64_t r = 0; r < a.rows; ++r) CopyRow(a.out, r, a.x, a.index[r], a.width, a.type);
}

void Swiglu(const SwigluArgs& a, const Exec&) {
  for (std::int64_t i = 0; i < a.rows * a.width; ++i) {
    double gate = Get(a.gate, a.type, i);
    double up = Get(a.up, a.type, i);
    if (gate > a.limit) gate = a.limit;
    if (up > a.limit) up = a.limit;
    if (up < -a.limit) up = -a.limit;
    Put(a.out, a.type, i, gate / (1 + std::exp(-gate)) * up);
  }
}

}  // namespace birkhoff::ref
