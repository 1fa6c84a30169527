// The definition of every op. A graph builder refers to these; operand order is the order listed.
#pragma once

#include "ops/op.h"

namespace birkhoff::ops {

// (a [r, w], b [r, w] or [r, n, w], each f32 or bf16) {dtype f32|bf16 as int "out"} -> [b's shape]
// out, which may take b's memory
extern const OpDef kAdd;
// (q [T,H,D], kv [T,D], window state, sink vector [H]) or with (..., entries state) or (...,
// entries state, selected i32 [T,k]) {int window, ratio, max_entries; number scale; int out} ->
// [T,H,D] out
extern const OpDef kAttention;
// (x [T,w]) {int copies} -> [T, copies, w]
extern const OpDef kBroadcast;
// (k f32 [T,cD], g f32 [T,cD], ape vector [r,cD], norm vector [D], frequency [P], k_ring, z_ring,
// entries states) {flag overlap, precise; number eps} -> (k_ring', z_ring', entries')
extern const OpDef kCompress;
// (a [..., wa], b [..., wb]), columns or packed {} -> [..., wa + wb]
extern const OpDef kConcat;
// (x0 [T,w0], x1 [T,w1], weight0, weight1 vectors) {number eps0, eps1; int out0, out1}
// -> ([T,w0] out0, [T,w1] out1); x0 and x1 may be columns
extern const OpDef kDualRmsNorm;
// (ids i32 [T], table matrix) {int out} -> [T, d] out
extern const OpDef kEmbedding;
// (x [T,d], expert i32 [T,k], weight f32 [T,k], w1, w3, w2 matrices) {number limit} -> f32 [T, d]
extern const OpDef kExperts;
// (x [T, ...], index i32 [R]) {} -> [R, ...]
extern const OpDef kGatherRows;
// (q [T,H,D], keys, values states) or (q, keys), where the values are the first channels of the
// keys; states after this step's kv_write {int key_heads, value_dim; number scale; int out} ->
// [T,H,value_dim] out
extern const OpDef kGqaAttention;
// (x [T,H,K], columns or packed, w matrices [H,N,K]) {int out; flag transposed: w is [H,K,N]} ->
// [T,H,N] out
extern const OpDef kHeadLinear;
// (q [T,Hi,Di], weight f32 [T,Hi], keys state) {int ratio, topk, max_entries; number scale} -> i32
// [T, topk]
extern const OpDef kIndexTopk;
// (kv [T,D], ring state) {} -> (ring')
extern const OpDef kKvWrite;
// (x [M, G K] or [M, G, K], w matrix [G N, K], if G = 1 more matrices [N_i, K]) {int groups, out}
// -> [M, G N + N_i + ...] out, the products side by side. Or (x f8e4m3 [M, G K], scale f32 [M,
// ceil(G K / x_group)], w, ...) {int groups, out, x_group}. x may be columns.
extern const OpDef kLinear;
// (x [T,H], streams [T,hc,H], post f32 [T,hc], comb f32 [T,hc,hc], fn, base, scale, norm vectors)
// or without norm: h is the collapsed vector
// {int iterations; number rms_eps, pre_eps, sinkhorn_eps, post_mult, norm_eps; int fp8_group, 0, 32
// or 128; int fp8_scale, a Fp8Scale} -> (streams', pre', post', comb', h) or (..., q, scale of h)
extern const OpDef kMhcBoundary;
// (the operands of mhc_boundary, pre f32 [T,hc] of the site before) {the same, but for FP8} ->
// (streams', pre', post', comb', h)
extern const OpDef kMhcBoundaryShifted;
// (streams [T,hc,H], fn [N,hc H], base [N], scale [3] vectors)
// {int iterations; number rms_eps, pre_eps, sinkhorn_eps, post_mult} -> (pre f32 [T,hc], post f32
// [T,hc], comb f32 [T,hc,hc])
extern const OpDef kMhcCoeffs;
// (streams [T,hc,H], pre f32 [T,hc]) {} -> [T,H]
extern const OpDef kMhcCollapse;
// (streams [R,hc,H], fn [hc,hc H], base [hc], scale [1] vectors) {number rms_eps, eps} -> [R,H]
extern const OpDef kMhcHead;
// (x [T,H], streams [T,hc,H], post f32 [T,hc], comb f32 [T,hc,hc]) {} -> streams' [T,hc,H]
extern const OpDef kMhcPost;
// (x [T,H], streams [T,hc,H], post f32 [T,hc], comb f32 [T,hc,hc], fn, base, scale of the head,
// norm vectors) {number rms_eps, eps, norm_eps} -> (streams', [T,H])
extern const OpDef kMhcTail;
// (x [T,H,D], table f32 [T,P,2]) or (x, table, weight vector [D]) {number eps; int out, pairing}
// -> [T,H,D] out; x may be columns
extern const OpDef kNormRope;
// (q [T,H,D] or [T,H D], k [T,Hk,D] or [T,Hk D], v [T,Hk D], table f32 [T,P,2], q_weight, k_weight
// vectors [D], keys, values states [slots,capacity,Hk D] of v's type)
// {number q_eps, k_eps; int out, pairing} -> ([T,H,D] out, keys', values'); q, k, v may be columns
extern const OpDef kNormRopeWrite;
// (x [T,K] f32|bf16) {int group, columns of a scale, 0: the whole row; int scale, a Fp8Scale;
// number floor} -> (q f8e4m3 [T,K], scale f32 or f8e8m0 [T, ceil(K / group)]) as in
// birkhoff/ops/fp8.h; x may be columns
extern const OpDef kQuantise;
// (x) {ReshapeAttributes(shape)} -> the same elements under another shape
extern const OpDef kReshape;
Attributes ReshapeAttributes(std::span<const Extent> shape);
// (x [..., w], weight vector [w]) or (x [..., w]) {int out; number eps} -> [..., w] out; x may be
// columns
extern const OpDef kRmsNorm;
// (x [T,K], weight vector [K]) {those of rms_norm and quantise} -> ([T,K] out, q, scale of it); x
// may be columns
extern const OpDef kRmsNormQuantise;
// (x [T,H,D] or [T,D], table f32 [T,P,2]) {int out, pairing; flag inverse} -> same shape, out;
// x may be columns
extern const OpDef kRope;
// (positions i32 [T], frequency [P]) {flag precise} -> f32 [T,P,2]
extern const OpDef kRopeTable;
// (c [T,R] of the state's type, k_pe [T,2P], table f32 [T,P,2], latent state
// [slots,capacity,R + 2P]) {int pairing} -> (latent'); c and k_pe may be columns
extern const OpDef kRopeWrite;
// (logits f32 [T,E], bias vector [E]) or (logits, table i32 [V,k], ids i32 [T]) {int k, scoring,
// groups, topk_groups; flag normalise; number scale} -> (expert i32 [T,k], weight f32 [T,k])
extern const OpDef kRoute;
// (x [..., w], packed or columns) {int begin, width} -> columns begin ... begin + width - 1
extern const OpDef kSlice;
// (x [T,w]) {int copies} -> [T, copies, w], spread: what kBroadcast gives without the copies
extern const OpDef kSpread;
// (gate [T,I], up [T,I]) {number limit} -> [T,I]
extern const OpDef kSwiglu;
// (gate [T,I], up [T,I]) {those of swiglu and quantise} -> (q, scale) of its result
extern const OpDef kSwigluQuantise;

}  // namespace birkhoff::ops
