// What the public form of an op checks about the pointers that a caller hands in.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

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

// Every region that is not left out is there, aligned, and no output lies on another.
// The messages begin with `op`.
Status CheckRegions(std::string_view op, const std::vector<Region>& regions);

}  // namespace birkhoff::ops
