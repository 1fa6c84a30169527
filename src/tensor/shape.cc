#include <cassert>

#include "birkhoff/tensor.h"

namespace birkhoff {

Shape::Shape(std::initializer_list<std::int64_t> dims) {
  for (const std::int64_t d : dims) Append(d);
}

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

void Shape::Append(std::int64_t dim) {
  assert(rank_ < kMaxRank);
  dims_[static_cast<std::size_t>(rank_++)] = dim;
}

std::string Shape::ToString() const {
  std::string s = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) s += ", ";
    s += std::to_string((*this)[i]);
  }
  return s + "]";
}

}  // namespace birkhoff
