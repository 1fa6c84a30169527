// Rotation fused with the norm before it and the write to the cache behind it.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"
#include "kernels/args/batch.h"
#include "kernels/args/rope.h"

namespace birkhoff {

// out[t, h, :] = Rope(RmsNorm(x[t, h, :]))
//
// Shapes   those of Rope.
// Numerics RmsNorm to f32, then Rope: one rounding, to rope.out_type. The bits of both in a row.
// Aliasing as Rope.
struct NormRopeArgs {
  RopeArgs rope = {};
  const float* weight = nullptr;  // [D], or null: weightless
  float eps = 0;
};

// An attention's entry with a key and a value per key head:
//   q.out               = NormRope(q)
//   keys[slot, row]     = NormRope(k)      values[slot, row] = v[t]      row = p mod capacity
// for the token at position p; the last min(count, capacity) tokens of each sequence are written.
//
// Shapes   k.rope.tokens == q.rope.tokens == T; keys.capacity == values.capacity.
// Numerics q and k those of NormRope with one rounding to their types, v exact. The bits of the ops
//          in a row.
// Aliasing q.rope.out may be q.rope.x as in Rope.
struct NormRopeWriteArgs {
  NormRopeArgs q = {};      // heads H
  NormRopeArgs k = {};      // heads Hk, out_type that of the states; its out is not used
  const void* v = nullptr;  // [T, Hk D] of the states' type, rows v_row apart
  std::int64_t v_row = 0;   // elements
  StateRows keys = {};      // [slots, capacity, Hk D]
  StateRows values = {};    // [slots, capacity, Hk D]
  SequenceBatch batch = {};
};

// The cache entry of latent attention, of the token at position p, at row p mod capacity:
//   latent[slot, row] = [c[t] | Rope(k_pe[t])]
// The last min(count, capacity) tokens of each sequence are written.
//
// Shapes   k_pe: one head of 2P channels; latent.width == R + 2P.
// Numerics c exact, k_pe those of Rope. Aliasing none.
struct RopeWriteArgs {
  const void* c = nullptr;   // [T, R] of the state's type, rows c_row apart
  std::int64_t c_row = 0;    // elements
  std::int64_t c_width = 0;  // R
  RopeArgs k_pe = {};        // out_type that of the state; its out is not used
  StateRows latent = {};     // [slots, capacity, R + 2P]
  SequenceBatch batch = {};
};

}  // namespace birkhoff
