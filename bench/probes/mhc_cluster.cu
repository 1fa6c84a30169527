// What weight-stationary clusters reach: the mHC boundary in one launch, X' on chip between
// projection and collapse. A prototype of the kernel to come: hc = 4, H of 4096, 5120 or 7168,
// bf16, unrounded norm statistic without its guard. Checks itself against float64, then prints one
// JSON object per (H, T).
//
//   nvcc -std=c++20 -O3 -gencode arch=compute_90a,code=sm_90a -I src bench/probes/mhc_cluster.cu
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cuda/ptx/async.h"
#include "kernels/cuda/ptx/cluster.h"
#include "kernels/cuda/ptx/mbarrier.h"
#include "kernels/cuda/ptx/mma.h"
#include "probe.h"

namespace {

using namespace birkhoff::ptx;

constexpr int kSlices = 16;
constexpr int kTile = 8;    // tokens
constexpr int kPitch = 36;  // floats of a token's partial: 24 mixes, 10 Gram sums, 2 unused
constexpr int kChunkBytes = 12288;
constexpr int kQueue = 16;  // tokens whose logits wait for their Sinkhorn

struct Args {
  const uint4* x;        // [T, H] bf16
  const uint4* streams;  // [T, 4, H]
  const float4* post;    // [T, 4]
  const float4* comb;    // [T, 4, 4]
  const uint4* fn;       // packed
  const float* base;     // [24]
  const float* scale;    // [3]
  const float* norm;     // [H]
  uint4* streams_out;
  float* pre_out;
  float* post_out;
  float* comb_out;
  uint4* h;
  long long tokens;
  float rms_eps, pre_eps, sinkhorn_eps, norm_eps, post_mult;
  int iterations;
};

template <int H>
struct Shape {
  static constexpr int kChunks = H / 32 / kSlices;
  static constexpr int kBricks = kChunks * 32;   // threads
  static constexpr int kThreads = kBricks + 96;  // and warps that fold, judge and balance
  static constexpr int kW = kChunks * kChunkBytes;
  static constexpr int kPartial = kW;
  static constexpr int kInbox = kPartial + 2 * kChunks * kTile * kPitch * 4;
  static constexpr int kVerdict = kInbox + kSlices * kPitch * 4;  // [2][8][8]
  static constexpr int kCoef = kVerdict + 2 * kTile * 32;         // [2][8][20]
  static constexpr int kLogits = kCoef + 2 * kTile * 80;          // [kQueue][20]
  static constexpr int kBarriers = kLogits + kQueue * 80;
  static constexpr int kShared = kBarriers + 96;
};

__device__ float Low(unsigned w) { return __uint_as_float(w << 16); }
__device__ float High(unsigned w) { return __uint_as_float(w & 0xffff0000u); }
__device__ unsigned Pack(float low, float high) {
  unsigned w;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(high), "f"(low));
  return w;
}
__device__ float Reciprocal(float x) {
  float r;
  asm("rcp.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
  return __fmaf_rn(r, __fmaf_rn(-x, r, 1.0f), r);
}
__device__ float Sigmoid(float z) { return Reciprocal(1.0f + __expf(-z)); }
__device__ float InverseRoot(float x) {
  float r;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(r) : "f"(x));
  return __fmaf_rn(r * 0.5f, __fmaf_rn(-x * r, r, 1.0f), r);
}

__device__ void PrefetchL2(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

struct Streams {
  uint4 x;
  uint4 s[4];
};

__device__ const unsigned& Word(const uint4& v, int i) { return (&v.x)[i]; }

// Eight columns of a token: at x, and at streams and the same place of the next three.
template <int H>
__device__ Streams LoadTile(const char* x, const char* streams, bool alive) {
  Streams t = {};
  if (alive) {
    t.x = __ldg(reinterpret_cast<const uint4*>(x));
#pragma unroll
    for (int j = 0; j < 4; ++j) t.s[j] = __ldg(reinterpret_cast<const uint4*>(streams + j * 2 * H));
  }
  return t;
}

// X' of eight columns, packed. coef: post, then the rows of comb.
__device__ void Mix(const Streams& t, const float* coef, uint4 (&out)[4]) {
  float4 c[5];
#pragma unroll
  for (int i = 0; i < 5; ++i) c[i] = reinterpret_cast<const float4*>(coef)[i];
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    unsigned w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float low = (&c[0].x)[m] * Low(Word(t.x, i));
      float high = (&c[0].x)[m] * High(Word(t.x, i));
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        low = __fmaf_rn((&c[1 + j].x)[m], Low(Word(t.s[j], i)), low);
        high = __fmaf_rn((&c[1 + j].x)[m], High(Word(t.s[j], i)), high);
      }
      w[i] = Pack(low, high);
    }
    out[m] = {w[0], w[1], w[2], w[3]};
  }
}

// The products of the streams summed over a chunk, 00 01 02 03 11 12 13 22 23 33: the diagonals of
// six tiles, which lane l = g / 2 of a token g holds. Tensor cores have the time, the rest has not.
__device__ void Gram(const uint4 (&v)[4], float (&g)[10]) {
  float d[6][4] = {};
  constexpr int kA[6] = {0, 1, 2, 3, 0, 1};
  constexpr int kA8[6] = {1, 2, 3, 0, 0, 1};
  constexpr int kB[6] = {0, 1, 2, 3, 2, 3};
#pragma unroll
  for (int i = 0; i < 6; ++i) {
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      const uint4 a = {Word(v[kA[i]], 2 * q), Word(v[kA8[i]], 2 * q), Word(v[kA[i]], 2 * q + 1),
                       Word(v[kA8[i]], 2 * q + 1)};
      MmaBf16(d[i], a, Word(v[kB[i]], 2 * q), Word(v[kB[i]], 2 * q + 1));
    }
  }
  const bool odd = threadIdx.x / 4 % 2 != 0;
  const auto upper = [&](int i) { return odd ? d[i][1] : d[i][0]; };
  const auto lower = [&](int i) { return odd ? d[i][3] : d[i][2]; };
  g[0] = upper(0);
  g[1] = lower(0);
  g[2] = upper(4);
  g[3] = lower(3);
  g[4] = upper(1);
  g[5] = lower(1);
  g[6] = upper(5);
  g[7] = upper(2);
  g[8] = lower(2);
  g[9] = upper(3);
}

template <int H>
__device__ void Collapse(const uint4 (&v)[4], const float* verdict, const float (&norm)[8], char* h,
                         bool alive) {
  const float4 pre = *reinterpret_cast<const float4*>(verdict);
  const float rs = verdict[4];
  unsigned w[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float low = pre.x * Low(Word(v[0], i));
    float high = pre.x * High(Word(v[0], i));
    low = __fmaf_rn(pre.y, Low(Word(v[1], i)), low);
    high = __fmaf_rn(pre.y, High(Word(v[1], i)), high);
    low = __fmaf_rn(pre.z, Low(Word(v[2], i)), low);
    high = __fmaf_rn(pre.z, High(Word(v[2], i)), high);
    low = __fmaf_rn(pre.w, Low(Word(v[3], i)), low);
    high = __fmaf_rn(pre.w, High(Word(v[3], i)), high);
    const unsigned r = Pack(low, high);
    w[i] = Pack(Low(r) * rs * norm[2 * i], High(r) * rs * norm[2 * i + 1]);
  }
  if (alive) *reinterpret_cast<uint4*>(h) = {w[0], w[1], w[2], w[3]};
}

// The verdict of one token: what all of the cluster needs to know. One warp; returns the logit of
// its lane.
template <int H>
__device__ float Judge(const Args& a, const float* inbox, long long token, float scale, float base,
                       std::uint32_t verdict, std::uint32_t barrier) {
  const int lane = threadIdx.x % 32;
  float sum[2];
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    float s[kSlices];
    const int v = min(lane + 32 * k, 33);
#pragma unroll
    for (int i = 0; i < kSlices; ++i) s[i] = inbox[i * kPitch + v];
#pragma unroll
    for (int step = 1; step < kSlices; step *= 2) {
#pragma unroll
      for (int i = 0; i < kSlices; i += 2 * step) s[i] += s[i + step];
    }
    sum[k] = s[0];
  }
  float g[10];
#pragma unroll
  for (int i = 0; i < 8; ++i) g[i] = __shfl_sync(0xffffffffu, sum[0], 24 + i);
  g[8] = __shfl_sync(0xffffffffu, sum[1], 0);
  g[9] = __shfl_sync(0xffffffffu, sum[1], 1);
  const float mean = ((g[0] + g[4]) + (g[7] + g[9])) * (0.25f / H);
  const float rs = InverseRoot(mean + a.rms_eps);
  const float logit = sum[0] * rs * scale + base;
  const float sigmoid = Sigmoid(logit);
  const float pre_or_post = lane < 4 ? sigmoid + a.pre_eps : a.post_mult * sigmoid;
  float p[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) p[j] = __shfl_sync(0xffffffffu, pre_or_post, j);
  const float q0 = p[0] * g[0] + p[1] * g[1] + p[2] * g[2] + p[3] * g[3];
  const float q1 = p[0] * g[1] + p[1] * g[4] + p[2] * g[5] + p[3] * g[6];
  const float q2 = p[0] * g[2] + p[1] * g[5] + p[2] * g[7] + p[3] * g[8];
  const float q3 = p[0] * g[3] + p[1] * g[6] + p[2] * g[8] + p[3] * g[9];
  const float q = p[0] * q0 + p[1] * q1 + p[2] * q2 + p[3] * q3;
  const float norm = InverseRoot(q * (1.0f / H) + a.norm_eps);
  if (lane < kSlices) {
    const std::uint32_t to = RemoteAddress(verdict, lane);
    const std::uint32_t signal = RemoteAddress(barrier, lane);
    StoreAsync(to,
               {__float_as_uint(p[0]), __float_as_uint(p[1]), __float_as_uint(p[2]),
                __float_as_uint(p[3])},
               signal);
    StoreAsync(to + 16, {__float_as_uint(norm), 0, 0, 0}, signal);
  }
  if (token < a.tokens) {
    if (lane < 4) a.pre_out[token * 4 + lane] = pre_or_post;
    if (lane >= 4 && lane < 8) a.post_out[token * 4 + lane - 4] = pre_or_post;
  }
  return logit;
}

// comb of one token per lane, from its logits in shared memory.
__device__ void Sinkhorn(const Args& a, const float* logits, float* comb) {
  float m[16];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 row = reinterpret_cast<const float4*>(logits)[i];
    m[4 * i] = row.x;
    m[4 * i + 1] = row.y;
    m[4 * i + 2] = row.z;
    m[4 * i + 3] = row.w;
  }
  const float eps = a.sinkhorn_eps;
  float u[4], v[4], d[4], e[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float largest = fmaxf(fmaxf(m[4 * i], m[4 * i + 1]), fmaxf(m[4 * i + 2], m[4 * i + 3]));
    float total = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      m[4 * i + j] = __expf(m[4 * i + j] - largest);
      total += m[4 * i + j];
    }
    const float r = Reciprocal(total);
#pragma unroll
    for (int j = 0; j < 4; ++j) m[4 * i + j] = m[4 * i + j] * r + eps;
    u[i] = v[i] = d[i] = e[i] = 1;
  }
#pragma unroll 1
  for (int step = 0; step < a.iterations; ++step) {
    if (step > 0) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float even = __fmaf_rn(m[4 * i + 1], v[1], __fmaf_rn(m[4 * i], v[0], eps * d[i]));
        d[i] = even + __fmaf_rn(m[4 * i + 3], v[3], m[4 * i + 2] * v[2]);
        u[i] = Reciprocal(d[i]);
      }
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float even = __fmaf_rn(m[4 + j], u[1], __fmaf_rn(m[j], u[0], eps * e[j]));
      e[j] = even + __fmaf_rn(m[12 + j], u[3], m[8 + j] * u[2]);
      v[j] = Reciprocal(e[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    reinterpret_cast<float4*>(comb)[i] = {u[i] * m[4 * i] * v[0], u[i] * m[4 * i + 1] * v[1],
                                          u[i] * m[4 * i + 2] * v[2], u[i] * m[4 * i + 3] * v[3]};
  }
}

template <int H>
__global__ void __launch_bounds__(Shape<H>::kThreads, 1) Boundary(const __grid_constant__ Args a) {
  using S = Shape<H>;
  extern __shared__ __align__(128) char shared[];
  const int rank = static_cast<int>(ClusterRank());
  const long long clusters = ClusterCount();
  const long long tiles = (a.tokens + kTile - 1) / kTile;
  const std::uint32_t w_bar = SharedAddress(shared + S::kBarriers);
  const std::uint32_t inbox_bar = w_bar + 8;
  const std::uint32_t verdict_bar = w_bar + 16;  // two
  const std::uint32_t coef_bar = w_bar + 32;     // two: coefficients of a tile are there
  const std::uint32_t partial_bar = w_bar + 48;  // two: every chunk's partial is there
  const bool brick = threadIdx.x < S::kBricks;
  // Tokens judged and tokens balanced by this block.
  auto* judged = reinterpret_cast<volatile int*>(shared + S::kBarriers + 80);
  auto* balanced = judged + 1;
  if (threadIdx.x == 0) {
    *judged = 0;
    *balanced = 0;
    for (int i = 0; i < 6; ++i) InitBarrier(w_bar + 8 * i, 1);
    for (int i = 6; i < 8; ++i) InitBarrier(w_bar + 8 * i, S::kChunks);
    FenceBarrierInit();
    ArriveExpect(w_bar, S::kW);
    const char* from = reinterpret_cast<const char*>(a.fn) + static_cast<long long>(rank) * S::kW;
    for (int c = 0; c < S::kChunks; ++c)
      BulkLoad(SharedAddress(shared) + c * kChunkBytes, from + c * kChunkBytes, kChunkBytes, w_bar);
  }
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int column = (rank * S::kChunks + warp) * 32 + 8 * (lane % 4);
  float norm[8];
  if (brick) {
#pragma unroll
    for (int i = 0; i < 8; ++i) norm[i] = __ldg(a.norm + column + i);
  }
  ClusterSync();
  WaitForPrevious();
  ReleaseNext();

  auto* coef = reinterpret_cast<float*>(shared + S::kCoef);
  // Five 16-byte pieces for each of eight tokens, a lane each and eight lanes twice.
  const auto load_coef = [&](long long tile, int piece) {
    const long long token = tile * kTile + piece / 5;
    float4 v = {};
    if (piece < 40 && token < a.tokens)
      v = piece % 5 == 0 ? a.post[token] : a.comb[token * 4 + piece % 5 - 1];
    return v;
  };
  const auto keep_coef = [&](float4 v, float4 w, int slot) {
    auto* to = reinterpret_cast<float4*>(coef + slot * kTile * 20);
    to[lane] = v;
    if (lane < 8) to[32 + lane] = w;
    __syncwarp();
    if (lane == 0) Arrive(coef_bar + 8 * slot);
  };
  long long tile = ClusterId();
  if (brick) {
    const long long first = (tile * kTile + lane / 4) * H + column;
    const long long row_step = clusters * kTile * H * 2;  // bytes from tile to tile
    const auto* px = reinterpret_cast<const char*>(a.x) + first * 2;
    const auto* ps = reinterpret_cast<const char*>(a.streams) + (first * 4 - 3 * column) * 2;
    auto* po = reinterpret_cast<char*>(a.streams_out) + (first * 4 - 3 * column) * 2;
    auto* ph = reinterpret_cast<char*>(a.h) + first * 2;
    long long left = a.tokens - tile * kTile - lane / 4;  // tokens from the own one on
    Streams next = LoadTile<H>(px, ps, left > 0);
    WaitBarrier(w_bar, 0);
    uint4 before[4];
    const auto finish = [&](int n, bool alive) {
      const int slot = n & 1;
      WaitBarrier(verdict_bar + 8 * slot, (n >> 1) & 1);
      const auto* verdict =
          reinterpret_cast<const float*>(shared + S::kVerdict) + (slot * kTile + lane / 4) * 8;
      Collapse<H>(before, verdict, norm, ph, alive);
      ph += row_step;
    };
    int n = 0;
    for (; tile < tiles; tile += clusters, ++n) {
      const int slot = n & 1;
      uint4 mixed[4];
      WaitBarrier(coef_bar + 8 * slot, (n >> 1) & 1);
      Mix(next, coef + (slot * kTile + lane / 4) * 20, mixed);
      px += row_step;
      ps += 4 * row_step;
      const bool alive = left > 0;
      left -= clusters * kTile;
      next = LoadTile<H>(px, ps, left > 0);
      if (lane % 4 == 0 && left > clusters * kTile) {  // the tile after that
        PrefetchL2(px + row_step);
#pragma unroll
        for (int j = 0; j < 4; ++j) PrefetchL2(ps + 4 * row_step + j * 2 * H);
      }
      if (alive) {
#pragma unroll
        for (int j = 0; j < 4; ++j) *reinterpret_cast<uint4*>(po + j * 2 * H) = mixed[j];
      }
      po += 4 * row_step;
      float acc[3][4] = {};
      const auto* w = reinterpret_cast<const uint4*>(shared + warp * kChunkBytes) + lane;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int q = 0; q < 2; ++q) {
#pragma unroll
          for (int m = 0; m < 3; ++m)
            MmaBf16(acc[m], w[((j * 2 + q) * 3 + m) * 32], Word(mixed[j], 2 * q),
                    Word(mixed[j], 2 * q + 1));
        }
      }
      float g[10];
      Gram(mixed, g);
      float* partial = reinterpret_cast<float*>(shared + S::kPartial) +
                       (slot * S::kChunks + warp) * kTile * kPitch;
#pragma unroll
      for (int m = 0; m < 3; ++m) {
        partial[(2 * (lane % 4)) * kPitch + 8 * m + lane / 4] = acc[m][0] + acc[m][2];
        partial[(2 * (lane % 4) + 1) * kPitch + 8 * m + lane / 4] = acc[m][1] + acc[m][3];
      }
      if (lane % 4 == lane / 8) {
        auto* own = reinterpret_cast<float4*>(partial + lane / 4 * kPitch + 24);
        own[0] = {g[0], g[1], g[2], g[3]};
        own[1] = {g[4], g[5], g[6], g[7]};
        own[2] = {g[8], g[9], 0, 0};
      }
      __syncwarp();
      if (lane == 0) Arrive(partial_bar + 8 * slot);
      if (n > 0) finish(n - 1, true);
#pragma unroll
      for (int j = 0; j < 4; ++j) before[j] = mixed[j];
    }
    if (n > 0) finish(n - 1, left + clusters * kTile > 0);
  } else if (warp == S::kChunks) {
    for (int n = 0; n < 2; ++n)
      keep_coef(load_coef(tile + n * clusters, lane), load_coef(tile + n * clusters, 32 + lane), n);
    for (int n = 0; tile < tiles; tile += clusters, ++n) {
      const int tile_slot = n & 1;
      const float4 c0 = load_coef(tile + 2 * clusters, lane);
      const float4 c1 = load_coef(tile + 2 * clusters, 32 + lane);
      WaitBarrier(partial_bar + 8 * tile_slot, (n >> 1) & 1);
      if (lane == 0) ArriveExpect(verdict_bar + 8 * tile_slot, kTile * 32);
      __syncwarp();
#pragma unroll
      for (int r = 0; r < 3; ++r) {
        const int piece = lane + 32 * r;
        if (piece >= kTile * 9) break;
        const float* from = reinterpret_cast<float*>(shared + S::kPartial) +
                            tile_slot * S::kChunks * kTile * kPitch + piece * 4;
        float4 sum = *reinterpret_cast<const float4*>(from);
#pragma unroll
        for (int c = 1; c < S::kChunks; ++c) {
          const float4 v = *reinterpret_cast<const float4*>(from + c * kTile * kPitch);
          sum.x += v.x;
          sum.y += v.y;
          sum.z += v.z;
          sum.w += v.w;
        }
        const std::uint32_t owner = 2 * (piece / 9) + tile_slot;
        const std::uint32_t to =
            SharedAddress(shared + S::kInbox) + (rank * kPitch + piece % 9 * 4) * 4;
        StoreAsync(RemoteAddress(to, owner),
                   {__float_as_uint(sum.x), __float_as_uint(sum.y), __float_as_uint(sum.z),
                    __float_as_uint(sum.w)},
                   RemoteAddress(inbox_bar, owner));
      }
      keep_coef(c0, c1, tile_slot);
    }
  } else if (warp == S::kChunks + 1) {
    const float scale = a.scale[lane < 4 ? 0 : lane < 8 ? 1 : 2];
    const float base = lane < 24 ? a.base[lane] : 0.0f;
    int served = 0;
    for (int n = 0; tile < tiles; tile += clusters, ++n) {
      if ((rank & 1) != (n & 1)) continue;
      if (lane == 0) ArriveExpect(inbox_bar, kSlices * kPitch * 4);
      __syncwarp();
      WaitBarrier(inbox_bar, served++ & 1);
      const std::uint32_t verdict =
          SharedAddress(shared + S::kVerdict) + ((n & 1) * kTile + rank / 2) * 32;
      const long long token = tile * kTile + rank / 2;
      const float logit = Judge<H>(a, reinterpret_cast<const float*>(shared + S::kInbox), token,
                                   scale, base, verdict, verdict_bar + 8 * (n & 1));
      while (served - *balanced > kQueue) {
      }
      auto* queue = reinterpret_cast<float*>(shared + S::kLogits) + (served - 1) % kQueue * 20;
      if (lane >= 8 && lane < 24) queue[lane - 8] = logit;
      __threadfence_block();
      __syncwarp();
      if (lane == 0) *judged = served;
    }
  } else {
    // As many tokens at a time as have come meanwhile, a lane each.
    long long mine = 0;  // tiles of this cluster that this block owns a token of
    for (long long t = tile, n = 0; t < tiles; t += clusters, ++n) mine += (rank & 1) == (n & 1);
    for (int done = 0; done < mine;) {
      int ready;
      do {
        ready = __shfl_sync(0xffffffffu, *judged, 0) - done;
      } while (ready == 0);
      __threadfence_block();
      const int k = done + lane;
      const long long token = (tile + (2 * k + (rank & 1)) * clusters) * kTile + rank / 2;
      if (lane < ready && token < a.tokens)
        Sinkhorn(a, reinterpret_cast<const float*>(shared + S::kLogits) + k % kQueue * 20,
                 a.comb_out + token * 16);
      __syncwarp();
      done += ready;
      if (lane == 0) *balanced = done;
    }
  }
  __syncwarp();
  ClusterSync();
}

// ---- host -------------------------------------------------------------------------------------

float Bf16(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, 4);
  u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&x, &u, 4);
  return x;
}
std::uint16_t Bits(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, 4);
  return static_cast<std::uint16_t>(u >> 16);
}
float Value(std::uint16_t b) {
  const std::uint32_t u = static_cast<std::uint32_t>(b) << 16;
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}

struct Random {
  std::uint64_t s = 88172645463325252ull;
  float operator()() {  // about normal
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      s ^= s << 13;
      s ^= s >> 7;
      s ^= s << 17;
      sum += static_cast<float>(s >> 40) / (1 << 24) - 0.5f;
    }
    return sum * 1.7320508f;
  }
};

// fn [24, 4H] as fragments: [slice][chunk][stream][step][tile][lane] x 16 bytes.
std::vector<std::uint16_t> PackFn(const std::vector<float>& fn, int h) {
  std::vector<std::uint16_t> out(fn.size() * 2);
  std::size_t at = 0;
  for (int chunk = 0; chunk < h / 32; ++chunk)
    for (int j = 0; j < 4; ++j)
      for (int q = 0; q < 2; ++q)
        for (int m = 0; m < 3; ++m)
          for (int lane = 0; lane < 32; ++lane) {
            const int row = 8 * m + lane / 4;
            for (int half = 0; half < 2; ++half)
              for (int low = 0; low < 2; ++low)
                for (int i = 0; i < 2; ++i) {
                  const int c = chunk * 32 + 8 * (lane % 4) + 4 * q + 2 * half + i;
                  const float f = fn[static_cast<std::size_t>(row) * 4 * h + j * h + c];
                  const float hi = Bf16(f);
                  out[at++] = Bits(low ? Bf16(f - hi) : hi);
                }
          }
  return out;
}

template <class T>
T* Upload(const std::vector<T>& v) {
  T* p;
  CHECK(cudaMalloc(&p, v.size() * sizeof(T)));
  CHECK(cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice));
  return p;
}

template <int H>
void Enqueue(const Args& a, int clusters, bool pdl, cudaStream_t stream) {
  using S = Shape<H>;
  const long long tiles = (a.tokens + kTile - 1) / kTile;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(16 * std::min<long long>(tiles, clusters)));
  config.blockDim = dim3(S::kThreads);
  config.dynamicSmemBytes = S::kShared;
  config.stream = stream;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {16, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = pdl ? 2 : 1;
  CHECK(cudaLaunchKernelEx(&config, Boundary<H>, a));
}

template <int H>
void Run(cudaStream_t stream, double copy_gbs) {
  using S = Shape<H>;
  CHECK(cudaFuncSetAttribute(Boundary<H>, cudaFuncAttributeMaxDynamicSharedMemorySize, S::kShared));
  CHECK(cudaFuncSetAttribute(Boundary<H>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  constexpr long long kMost = 16384;
  constexpr int kSites = 64;
  Random random;
  std::vector<float> fn(24ull * 4 * H), base(24), scale(3), norm(H);
  for (float& f : fn) f = random() * 1.2f / std::sqrt(4.0f * H);
  for (float& f : base) f = random();
  for (float& f : scale) f = 0.9f + 0.1f * random();
  for (float& f : norm) f = 1 + 0.3f * random();
  const auto packed = PackFn(fn, H);
  std::vector<std::uint16_t> x(kMost * H), streams(kMost * 4 * H);
  std::vector<std::uint16_t> pool(1000003);
  for (auto& v : pool) v = Bits(Bf16(random() + 0.1f));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = pool[(i * 7 + 5) % pool.size()];
  for (std::size_t i = 0; i < streams.size(); ++i) streams[i] = pool[i % pool.size()];
  std::vector<float> post(kMost * 4), comb(kMost * 16);
  for (float& f : post) f = 1 + 0.5f * random();
  for (float& f : comb) f = 0.25f + 0.1f * random();

  Args a = {};
  std::vector<std::uint16_t*> fns;
  for (int i = 0; i < kSites; ++i) fns.push_back(Upload(packed));
  auto* xs = Upload(x);
  std::uint16_t* st[2] = {Upload(streams), Upload(streams)};
  float* posts[2] = {Upload(post), Upload(post)};
  float* combs[2] = {Upload(comb), Upload(comb)};
  float* pre;
  CHECK(cudaMalloc(&pre, kMost * 16));
  std::uint16_t* h;
  CHECK(cudaMalloc(&h, kMost * H * 2));
  a.x = reinterpret_cast<uint4*>(xs);
  a.base = Upload(base);
  a.scale = Upload(scale);
  a.norm = Upload(norm);
  a.pre_out = pre;
  a.h = reinterpret_cast<uint4*>(h);
  a.rms_eps = a.pre_eps = a.sinkhorn_eps = a.norm_eps = 1e-6f;
  a.post_mult = 2;
  a.iterations = 20;
  const auto site = [&](int i, long long tokens) {
    Args s = a;
    s.fn = reinterpret_cast<uint4*>(fns[i % kSites]);
    s.streams = reinterpret_cast<uint4*>(st[i % 2]);
    s.streams_out = reinterpret_cast<uint4*>(st[1 - i % 2]);
    s.post = reinterpret_cast<float4*>(posts[i % 2]);
    s.comb = reinterpret_cast<float4*>(combs[i % 2]);
    s.post_out = posts[1 - i % 2];
    s.comb_out = combs[1 - i % 2];
    s.tokens = tokens;
    return s;
  };
  int clusters = 0;
  {
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(16);
    config.blockDim = dim3(S::kThreads);
    config.dynamicSmemBytes = S::kShared;
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {16, 1, 1};
    config.attrs = &attribute;
    config.numAttrs = 1;
    CHECK(cudaOccupancyMaxActiveClusters(&clusters, Boundary<H>, &config));
  }
  cudaFuncAttributes f;
  CHECK(cudaFuncGetAttributes(&f, Boundary<H>));
  std::printf("{\"H\": %d, \"clusters\": %d, \"shared\": %d, \"registers\": %d, \"local\": %zu}\n",
              H, clusters, S::kShared, f.numRegs, f.localSizeBytes);

  // Against float64 from the kernel's own X'.
  for (const long long tokens : {1ll, 13ll, 150ll}) {
    CHECK(cudaMemset(st[1], 0xff, tokens * 8 * H));
    CHECK(cudaMemset(h, 0xff, tokens * 2 * H));
    CHECK(cudaMemset(pre, 0xff, tokens * 16));
    CHECK(cudaMemset(posts[1], 0xff, tokens * 16));
    CHECK(cudaMemset(combs[1], 0xff, tokens * 64));
    Enqueue<H>(site(0, tokens), clusters, false, stream);
    CHECK(cudaStreamSynchronize(stream));
    std::vector<std::uint16_t> got(tokens * 4 * H), got_h(tokens * H);
    std::vector<float> got_pre(tokens * 4), got_post(tokens * 4), got_comb(tokens * 16);
    CHECK(cudaMemcpy(got.data(), st[1], got.size() * 2, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(got_h.data(), h, got_h.size() * 2, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(got_pre.data(), pre, got_pre.size() * 4, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(got_post.data(), posts[1], got_post.size() * 4, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(got_comb.data(), combs[1], got_comb.size() * 4, cudaMemcpyDeviceToHost));
    long long wrong = 0;
    double worst_pre = 0, worst_post = 0, worst_comb = 0, worst_h = 0;
    for (long long t = 0; t < tokens; ++t) {
      for (int m = 0; m < 4; ++m)
        for (int c = 0; c < H; ++c) {
          float v = post[t * 4 + m] * Value(x[t * H + c]);
          for (int j = 0; j < 4; ++j)
            v = std::fmaf(comb[t * 16 + j * 4 + m], Value(streams[(t * 4 + j) * H + c]), v);
          wrong += Bits(Bf16(v)) != got[(t * 4 + m) * H + c];
        }
      const std::uint16_t* X = got.data() + t * 4 * H;
      double square = 0;
      std::vector<double> mix(24, 0);
      for (int c = 0; c < 4 * H; ++c) {
        const double v = Value(X[c]);
        square += v * v;
        for (int r = 0; r < 24; ++r) mix[r] += fn[static_cast<std::size_t>(r) * 4 * H + c] * v;
      }
      const double rs = 1 / std::sqrt(square / (4.0 * H) + 1e-6);
      double p[4], M[4][4];
      for (int r = 0; r < 24; ++r) {
        const double z = mix[r] * rs * scale[r < 4 ? 0 : r < 8 ? 1 : 2] + base[r];
        const double s = 1 / (1 + std::exp(-z));
        if (r < 4)
          worst_pre = std::max(worst_pre, std::abs(got_pre[t * 4 + r] - (p[r] = s + 1e-6)));
        else if (r < 8)
          worst_post = std::max(worst_post, std::abs(got_post[t * 4 + r - 4] - 2 * s));
        else
          M[(r - 8) / 4][(r - 8) % 4] = z;
      }
      for (auto& row : M) {
        const double largest = *std::max_element(row, row + 4);
        double sum = 0;
        for (double& v : row) sum += v = std::exp(v - largest);
        for (double& v : row) v = v / sum + 1e-6;
      }
      for (int i = 0; i < 20; ++i) {
        if (i > 0)
          for (auto& row : M) {
            const double sum = row[0] + row[1] + row[2] + row[3] + 1e-6;
            for (double& v : row) v /= sum;
          }
        for (int j = 0; j < 4; ++j) {
          const double sum = M[0][j] + M[1][j] + M[2][j] + M[3][j] + 1e-6;
          for (auto& row : M) row[j] /= sum;
        }
      }
      for (int i = 0; i < 16; ++i)
        worst_comb = std::max(worst_comb, std::abs(got_comb[t * 16 + i] - M[i / 4][i % 4]));
      double vv = 0;
      std::vector<double> v(H, 0);
      for (int c = 0; c < H; ++c) {
        for (int j = 0; j < 4; ++j) v[c] += p[j] * Value(X[j * H + c]);
        vv += v[c] * v[c];
      }
      const double nrs = 1 / std::sqrt(vv / H + 1e-6);
      for (int c = 0; c < H; ++c) {
        const double want = v[c] * nrs * norm[c];
        const double e = std::abs(Value(got_h[t * H + c]) - want) / (std::abs(want) + 1e-3);
        worst_h = std::isnan(e) ? 1e9 : std::max(worst_h, e);
      }
    }
    std::printf(
        "{\"H\": %d, \"T\": %lld, \"check\": true, \"wrong_streams\": %lld, \"pre\": %.2e, "
        "\"post\": %.2e, \"comb\": %.2e, \"h\": %.2e}\n",
        H, tokens, wrong, worst_pre, worst_post, worst_comb, worst_h);
  }

  for (const long long tokens :
       {1, 2, 4, 8, 16, 17, 32, 56, 57, 64, 65, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}) {
    for (const bool pdl : {false, true}) {
      const int n = tokens <= 128 ? 256 : tokens <= 512 ? 128 : tokens <= 2048 ? 64 : 40;
      CHECK(cudaMemcpy(st[0], streams.data(), tokens * 8 * H, cudaMemcpyHostToDevice));
      CHECK(cudaMemcpy(posts[0], post.data(), tokens * 16, cudaMemcpyHostToDevice));
      CHECK(cudaMemcpy(combs[0], comb.data(), tokens * 64, cudaMemcpyHostToDevice));
      auto us = SortedReplays(stream, 11, [&] {
        for (int i = 0; i < n; ++i) Enqueue<H>(site(i, tokens), clusters, pdl, stream);
      });
      for (double& t : us) t /= n;
      const double bytes = 20.0 * H * tokens + 160.0 * tokens + 384.0 * H;
      std::printf(
          "{\"H\": %d, \"T\": %lld, \"pdl\": %s, \"us\": %.2f, \"us_p25\": %.2f, \"us_p75\": %.2f, "
          "\"gbs\": %.0f, \"pct_copy\": %.0f, \"floor_us\": %.2f}\n",
          H, tokens, pdl ? "true" : "false", us[us.size() / 2], us[us.size() / 4],
          us[us.size() * 3 / 4], bytes / us[us.size() / 2] / 1e3,
          100 * bytes / us[us.size() / 2] / 1e3 / copy_gbs, bytes / copy_gbs / 1e3);
    }
  }
  for (auto* p : fns) CHECK(cudaFree(p));
  for (void* p : {static_cast<void*>(xs), static_cast<void*>(st[0]), static_cast<void*>(st[1]),
                  static_cast<void*>(h)})
    CHECK(cudaFree(p));
}

}  // namespace

int main() {
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream));
  const double copy = CopyBandwidth(stream);
  std::printf("{\"copy_gbs\": %.0f}\n", copy);
  Run<4096>(stream, copy);
  Run<5120>(stream, copy);
  Run<7168>(stream, copy);
}
