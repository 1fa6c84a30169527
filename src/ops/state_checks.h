// Checks of infer() for the ops that read or write sequence state.
#pragma once

#include <fmt/format.h>

#include "ops/typed_op.h"

namespace birkhoff::ops {

inline Status ExpectAtLeast(std::string_view what, std::int64_t value, std::int64_t least) {
  if (value >= least) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected at least {}, got {}", what, least, value));
}

// A state [slots, capacity, width] of constants with capacity >= rows.
inline Status ExpectState(std::string_view what, const ValueType& v, DType dtype, std::int64_t rows,
                          std::int64_t width) {
  BK_RETURN_IF_ERROR(ExpectKind(what, v, Kind::kState));
  BK_RETURN_IF_ERROR(ExpectType(what, v, dtype));
  BK_RETURN_IF_ERROR(ExpectRank(what, v, 3));
  const Extent slots = Const(v.shape[0].times);
  const Extent capacity = Const(v.shape[1].times);
  BK_RETURN_IF_ERROR(ExpectShape(what, v, {slots, capacity, Const(width)}));
  if (capacity.times >= rows) return {};
  return Status::InvalidArgument(
      fmt::format("{}: expected at least {} rows of a sequence, got {}", what, rows, v.ToString()));
}

}  // namespace birkhoff::ops
