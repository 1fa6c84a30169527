// A typed, contiguous, row-major array that somebody else owns.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "birkhoff/dtype.h"

namespace birkhoff {

// Up to kMaxRank extents, outermost first. Rank 0 is a scalar.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }
  std::int64_t elements() const;  // product of the extents; 1 for rank 0
  void Append(std::int64_t dim);  // rank() < kMaxRank

  bool operator==(const Shape&) const = default;
  std::string ToString() const;  // "[24, 16384]"

 private:
  std::array<std::int64_t, kMaxRank> dims_ = {};
  int rank_ = 0;
};

struct ConstTensorView {
  const void* data = nullptr;  // [shape], contiguous; aligned only as far as its file was
  DType dtype = DType::kF32;
  Shape shape = {};

  std::int64_t bytes() const { return shape.elements() * static_cast<std::int64_t>(SizeOf(dtype)); }
};

}  // namespace birkhoff
