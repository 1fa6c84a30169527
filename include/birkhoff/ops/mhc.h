// Manifold-constrained hyper-connections (mHC): how n residual streams are read, mixed and written.
// Each op below is run through Op<Args> of op.h.
//
// Shapes   T >= 0 tokens, hc in {2, 4, 8} streams, H >= 1; K = hc * H; N = hc * (hc + 2) mixes:
//          hc pre, hc post, hc * hc comb. Streams [T, hc, H] are bf16, or f32 in verification mode;
//          coefficients and parameters are f32. T = 0 is a no-op, its pointers may be null.
// Units    Strides are elements. Epsilons are added as they stand.
// Numerics docs/numerics.md, "mHC". In short: X' is rounded to the stream type before anything
//          reads it; Sinkhorn in scaling-vector form, ending on a column step. Bits depend on the
//          row, the parameters and the bits class of the kernel alone: not on T, the position of
//          the row or what else is in the batch. A NaN or Inf in one row reaches no other row.
//          Rows of streams, x and outputs begin at multiples of 16 bytes where H % 8 = 0, as do fn,
//          norm_weight and coefficients of 4 columns and more.
// Aliasing Outputs overlap nothing, but for what a struct allows.
// Order    Enqueued on the stream of the call, or done when a CPU kernel returns. May be captured
//          in a CUDA graph. On Hopper a boundary may begin while the launch before it ends; of its
//          operands it then reads parameters alone (fn, base, scale, norm_weight).
// Errors   Those of Op. Values are not read: fn, base and scale must be finite.
// Source   DeepSeek-V4; the contract is Birkhoff's.
#pragma once

#include <cstdint>

#include "birkhoff/dtype.h"
#include "birkhoff/ops/fp8.h"
#include "birkhoff/ops/op.h"

namespace birkhoff {

// Where x and the streams lie, in elements, if not one after another. Outputs always are.
struct MhcLayout {
  std::int64_t x = 0;       // from a row of x to the next; 0: H
  std::int64_t token = 0;   // from the streams of a token to those of the next; 0: packed, hc * H
  std::int64_t stream = 0;  // unless packed: from stream to stream; 0: one row stands for all hc

  bool operator==(const MhcLayout&) const = default;
};

// Parameters of one site.
struct MhcSite {
  const float* fn = nullptr;     // [N, K] projection; finite
  const float* base = nullptr;   // [N]
  const float* scale = nullptr;  // [3] for pre, post, comb
  float rms_eps = 1e-6f;
  float pre_eps = 1e-6f;
  float sinkhorn_eps = 1e-6f;
  float post_mult = 2.0f;
  int iterations = 20;  // column steps, >= 1
};

// mhc_coeffs
//
// m = fn x / sqrt(mean(x^2) + rms_eps), x = flatten(streams[t]), mean over hc * H
// pre[j]  = sigmoid(m[j] scale[0] + base[j]) + pre_eps
// post[j] = post_mult * sigmoid(m[hc + j] scale[1] + base[hc + j])
// comb    = sinkhorn(m[2 hc ...] scale[2] + base[2 hc ...]): row softmax + eps, then columns, then
//           (iterations - 1) times rows and columns, each divided by its sum + eps
struct MhcCoeffsArgs {
  const void* streams = nullptr;  // [T, hc, H] type
  MhcSite site = {};
  float* pre = nullptr;       // [T, hc]
  float* post = nullptr;      // [T, hc]
  float* comb = nullptr;      // [T, hc, hc]
  DType type = DType::kBF16;  // kBF16 or kF32
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  MhcLayout layout = {};
};

// mhc_collapse
//
// out[t] = sum_j pre[t, j] * streams[t, j]
//
// Numerics v = pre_0 X_0, then fused multiply-adds for j = 1 ...; one rounding.
struct MhcCollapseArgs {
  const void* streams = nullptr;  // [T, hc, H] type
  const float* pre = nullptr;     // [T, hc]
  void* out = nullptr;            // [T, H] type
  DType type = DType::kBF16;
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  MhcLayout layout = {};
};

// mhc_post
//
// out[t, m] = post[t, m] * x[t] + sum_j comb[t, j, m] * streams[t, j], over the FIRST index of comb
//
// Numerics a = post_m x, then a = fma(comb_jm, X_j, a) for j = 0 ...; one rounding.
// Aliasing out may be streams where they are packed.
struct MhcPostArgs {
  const void* x = nullptr;        // [T, H] type
  const void* streams = nullptr;  // [T, hc, H] type
  const float* post = nullptr;    // [T, hc]
  const float* comb = nullptr;    // [T, hc, hc]
  void* out = nullptr;            // [T, hc, H] type
  DType type = DType::kBF16;
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  MhcLayout layout = {};
};

// mhc_head
//
// p_j = sigmoid(m_j scale + base_j) + eps with m as in MhcCoeffs over hc rows;  out[t] = sum_j p_j
// * streams[t, j]
struct MhcHeadArgs {
  const void* streams = nullptr;  // [T, hc, H] type
  const float* fn = nullptr;      // [hc, K]
  const float* base = nullptr;    // [hc]
  const float* scale = nullptr;   // [1]
  void* out = nullptr;            // [T, H] type
  DType type = DType::kBF16;
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  float rms_eps = 1e-6f;
  float eps = 1e-6f;
  MhcLayout layout = {};
};

// mhc_boundary: what lies between two sublayers in one pass, that is post, coefficients of the next
// site, collapse and RMSNorm. streams_out, pre_out, post_out and comb_out are those of mhc_post and
// mhc_coeffs bit for bit, in a class of bits.
//
// Numerics h = bf16((bf16(v) rs) weight). Strict: rs is that of bf16(v), as in RmsNorm run after
//          MhcCollapse. Otherwise the class decides: "mhc f32" does the same, "mhc bf16x2" takes v
//          before its rounding (1e-4 apart in rs, now and then one ulp of h). FP8 is of the bf16 h.
struct MhcBoundaryArgs {
  const void* x = nullptr;             // [T, H] type, output of the last sublayer
  const void* streams = nullptr;       // [T, hc, H] type
  const float* post = nullptr;         // [T, hc]
  const float* comb = nullptr;         // [T, hc, hc]
  MhcSite site = {};                   // of the next sublayer
  const float* norm_weight = nullptr;  // [H], or null: h is the collapsed vector
  float norm_eps = 1e-6f;
  bool strict = false;
  void* streams_out = nullptr;  // [T, hc, H] type; may be streams
  float* pre_out = nullptr;     // [T, hc]
  float* post_out = nullptr;    // [T, hc]; not post
  float* comb_out = nullptr;    // [T, hc, hc]; not comb
  void* h = nullptr;            // [T, H] type; with FP8 it may be null
  Fp8Rows fp8 = {};             // h again, where format.group is not 0; of bf16 streams
  DType type = DType::kBF16;
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  MhcLayout layout = {};
};

// mhc_boundary_shifted: the boundary of the delayed wiring. h is read with the weights of the site
// before, so that it does not wait for this site's projection. At the start of a model they are
// (1, 0, ...).
//
// Numerics as MhcBoundary with v = sum_j pre_j X'_j. Fed with its own pre it is MhcBoundary.
// Source   DeepSeek-V4.1, "single-pass" mHC.
struct MhcBoundaryShiftedArgs {
  MhcBoundaryArgs boundary = {};  // pre_out: of this site, for the next one
  const float* pre = nullptr;     // [T, hc], of the site before; not pre_out
};

// mhc_tail: the end of a model in one pass. mhc_post, mhc_head and rms_norm one after another, bit
// for bit in a class of bits.
struct MhcTailArgs {
  const void* x = nullptr;             // [T, H] type, output of the last sublayer
  const void* streams = nullptr;       // [T, hc, H] type
  const float* post = nullptr;         // [T, hc]
  const float* comb = nullptr;         // [T, hc, hc]
  const float* fn = nullptr;           // [hc, K], of the head
  const float* base = nullptr;         // [hc]
  const float* scale = nullptr;        // [1]
  const float* norm_weight = nullptr;  // [H], of the final norm
  void* streams_out = nullptr;         // [T, hc, H] type; may be streams
  void* out = nullptr;                 // [T, H] type
  DType type = DType::kBF16;
  std::int64_t tokens = 0;
  std::int64_t hc = 0;
  std::int64_t hidden = 0;
  float rms_eps = 1e-6f;
  float eps = 1e-6f;
  float norm_eps = 1e-6f;
  MhcLayout layout = {};
};

extern template class Op<MhcPostArgs>;
extern template class Op<MhcCoeffsArgs>;
extern template class Op<MhcCollapseArgs>;
extern template class Op<MhcHeadArgs>;
extern template class Op<MhcBoundaryArgs>;
extern template class Op<MhcBoundaryShiftedArgs>;
extern template class Op<MhcTailArgs>;

}  // namespace birkhoff
