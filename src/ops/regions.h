// What the public form of an op checks about the pointers that a caller hands in.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "birkhoff/status.h"

namespace birkhoff::ops {

enum class Role : std::uint8_t {
  kInput,
  kParameter,  // an input that prepare() may read instead of run()
  kOutput,
};

// A pointer of an argument struct and the bytes behind it that a kernel may touch.
struct Region {
  std::string_view name = {};
  const void* data = nullptr;
  std::int64_t bytes = 0;
  Role role = Role::kInput;
  std::int64_t align = 16;
  bool optional = false;         // may be null
  std::string_view may_be = {};  // an output that may be this input, if both begin at one place
};

// The regions of one call, without allocation: runs make one each.
class RegionSet {
 public:
  void Add(const Region& r) {
    assert(size_ < regions_.size());
    regions_[size_++] = r;
  }
  Region& back() { return regions_[size_ - 1]; }
  std::span<const Region> all() const { return std::span(regions_).first(size_); }

 private:
  std::array<Region, 20> regions_ = {};
  std::size_t size_ = 0;
};

// Every region that is not left out is there, aligned, and no output lies on another.
// The messages begin with `op`.
Status CheckRegions(std::string_view op, std::span<const Region> regions);

}  // namespace birkhoff::ops
