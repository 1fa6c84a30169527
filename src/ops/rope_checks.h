// What the ops that rotate share: checks of infer(), and operands to arguments.
#pragma once

#include <fmt/format.h>

#include "kernels/args/norm_rope.h"
#include "ops/typed_op.h"

namespace birkhoff::ops {

// x [T, ...] of at least 2P channels and table f32 [T, P, 2].
inline Status ExpectRotation(std::string_view op, const ValueType& x, const ValueType& table) {
  const std::string what = fmt::format("{} table", op);
  BK_RETURN_IF_ERROR(ExpectFloat(fmt::format("{} x", op), x));
  BK_RETURN_IF_ERROR(ExpectType(what, table, DType::kF32));
  BK_RETURN_IF_ERROR(ExpectRank(what, table, 3));
  BK_RETURN_IF_ERROR(ExpectShape(what, table, {x.shape[0], table.shape[1], Const(2)}));
  if (2 * table.shape[1].times > x.shape.back().times) {
    return Status::InvalidArgument(
        fmt::format("{}: {} pairs do not fit into {}", op, table.shape[1].times, x.ToString()));
  }
  return {};
}

// x [T, H, D], or [T, D] for one head.
inline void BindRotation(const Operand& x, const Operand& table, RopeArgs& a) {
  a.x = x.data;
  a.x_type = x.dtype;
  a.table = static_cast<const float*>(table.data);
  a.pairs = table.dim[1];
  a.tokens = x.dim[0];
  a.heads = x.rank == 3 ? x.dim[1] : 1;
  a.dim = x.dim[x.rank - 1];
  a.x_row = x.row;
}

inline RopePairing PairingOf(const Attributes& attributes) {
  return static_cast<RopePairing>(attributes.Int("pairing"));
}

}  // namespace birkhoff::ops
