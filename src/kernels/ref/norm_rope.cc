#include <cstring>
#include <vector>

#include "kernels/ref/kernels.h"

namespace birkhoff::ref {
namespace {

struct Rows {
  std::vector<std::byte> bytes = {};
  std::int64_t row = 0;  // bytes

  Rows(std::int64_t count, std::int64_t width, DType type)
      : bytes(static_cast<std::size_t>(count * width) * SizeOf(type)),
        row(width * static_cast<std::int64_t>(SizeOf(type))) {}

  // Columns [at, at + n) from rows of `from` that are `step` apart, all in bytes.
  void Put(const void* from, std::int64_t step, std::int64_t at, std::int64_t n) {
    const auto count = row == 0 ? 0 : static_cast<std::int64_t>(bytes.size()) / row;
    for (std::int64_t r = 0; r < count; ++r)
      std::memcpy(bytes.data() + r * row + at, static_cast<const std::byte*>(from) + r * step,
                  static_cast<std::size_t>(n));
  }
};

}  // namespace

void NormRope(const NormRopeArgs& a, const Exec& exec) {
  RopeArgs rope = a.rope;
  const auto size = static_cast<std::int64_t>(SizeOf(rope.x_type));
  std::vector<float> normed(static_cast<std::size_t>(rope.tokens * rope.heads * rope.dim));
  for (std::int64_t t = 0; t < rope.tokens; ++t) {
    RmsNorm({.x = static_cast<const std::byte*>(rope.x) + rope.x_at(t, 0) * size,
             .weight = a.weight,
             .out = normed.data() + t * rope.heads * rope.dim,
             .x_type = rope.x_type,
             .out_type = DType::kF32,
             .rows = rope.heads,
             .width = rope.dim,
             .eps = a.eps,
             .x_row = rope.x_step()},
            exec);
  }
  rope.x = normed.data();
  rope.x_type = DType::kF32;
  rope.x_row = rope.x_token = 0;
  Rope(rope, exec);
}

void NormRopeWrite(const NormRopeWriteArgs& a, const Exec& exec) {
  NormRope(a.q, exec);
  NormRopeArgs k = a.k;
  const DType type = k.rope.out_type;
  const auto size = static_cast<std::int64_t>(SizeOf(type));
  Rows rows(k.rope.tokens, a.keys.width, type);
  k.rope.out = rows.bytes.data();
  NormRope(k, exec);
  KvWrite({rows.bytes.data(), a.keys, a.batch, type, a.keys.width}, exec);
  rows.Put(a.v, a.v_row * size, 0, rows.row);
  KvWrite({rows.bytes.data(), a.values, a.batch, type, a.values.width}, exec);
}

void RopeWrite(const RopeWriteArgs& a, const Exec& exec) {
  RopeArgs k_pe = a.k_pe;
  const DType type = k_pe.out_type;
  const auto size = static_cast<std::int64_t>(SizeOf(type));
  Rows turned(k_pe.tokens, k_pe.dim, type);
  k_pe.out = turned.bytes.data();
  Rope(k_pe, exec);
  Rows rows(k_pe.tokens, a.latent.width, type);
  rows.Put(a.c, a.c_row * size, 0, a.c_width * size);
  rows.Put(turned.bytes.data(), turned.row, a.c_width * size, turned.row);
  KvWrite({rows.bytes.data(), a.latent, a.batch, type, a.latent.width}, exec);
}

}  // namespace birkhoff::ref
