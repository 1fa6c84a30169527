// Portable kernels that norm rows, turn them and put them where they belong, with the bits of the
// CPU's: classes "f32x16" and "f32". Bound by memory; few rows by latency.
//
// A launch has up to three parts: the sides of a dual norm, or q, k and v of an attention's entry.
// A block takes a tile of rows of one part:
//   1. the rows go to shared memory as f32, 16 bytes a load;
//   2. sixteen threads to a row sum its squares, each one lane of the tree of cpu/simd.h. A chain
//      of width / 16 fused multiply-adds is the price of the CPU's bits;
//   3. norm, rotation and rounding on the way out, 16 bytes a store.
// Rows without a norm go straight to the third step.
#include <algorithm>

#include "kernels/gpu/kernels.h"
#include "kernels/gpu/row_parts.h"

namespace birkhoff::gpu {
namespace {

constexpr int kTile = 2 * 8 * kThreads;  // elements: two loads of eight for each thread
constexpr int kMostRows = 32;            // of a tile
constexpr int kMostNormed = kThreads / 16;
constexpr int kStaged = 8192;  // elements of a row at a time in shared memory; wider rows are read
                               // twice. A multiple of sixteen: lanes keep their elements

struct Launch {
  Part part[3] = {};
  int parts = 0;
  std::int64_t tiles = 0;  // of all parts
  SequenceBatch batch = {};
};

// Elements from one staged row to the next: 16 banks on, so that two rows of a warp do not collide.
__host__ __device__ int StagedStep(int dim) {
  return ((dim < kStaged ? dim : kStaged) + 31) / 32 * 32 + 16;
}

// Elements [begin, begin + n) of the rows of a tile to shared memory.
__device__ void Stage(const Part& part, std::int64_t first, int rows, int begin, int n, int step,
                      float* staged) {
  if (!part.vector) {
    for (int i = threadIdx.x; i < rows * n; i += kThreads) {
      const int r = i / n;
      const int c = i % n;
      staged[r * step + c] = ReadOne(part.x, part.x_bf16, part.XAt(first + r) + begin + c);
    }
    return;
  }
  const int units = n / 8;
  const auto load = [&](int u) {
    return ReadRaw(part.x, part.x_bf16, part.XAt(first + u / units) + begin + u % units * 8);
  };
  const auto store = [&](int u, const Raw& raw) {
    WriteEight(staged, false, u / units * step + u % units * 8, raw.Widened(part.x_bf16));
  };
  for (int u = threadIdx.x; u < rows * units; u += 2 * kThreads) {
    const int v = u + kThreads;
    const Raw a = load(u);
    const Raw b = v < rows * units ? load(v) : Raw{};  // both are on their way before one is used
    store(u, a);
    if (v < rows * units) store(v, b);
  }
}

// 1 / sqrt(mean square + eps) of each row to rs, and where each row goes to `to`. Thread 16 r + l
// is lane l of row r.
__device__ void Measure(const Part& part, const SequenceBatch& batch, std::int64_t first, int rows,
                        float* staged, float* rs, std::int64_t* to) {
  const int row = threadIdx.x / 16;
  const int lane = threadIdx.x % 16;
  const int step = StagedStep(part.dim);
  float sum = 0;
  for (int begin = 0; begin < part.dim; begin += kStaged) {
    const int n = part.dim - begin < kStaged ? part.dim - begin : kStaged;
    if (begin > 0) __syncthreads();
    Stage(part, first, rows, begin, n, step, staged);
    __syncthreads();
    if (row >= rows) continue;
    const float* x = staged + row * step;
#pragma unroll 8
    for (int c = lane; c < n; c += 16) sum = __fmaf_rn(x[c], x[c], sum);
  }
  // The last threads have no row to sum unless the tile is full.
  const int r = kThreads - 1 - static_cast<int>(threadIdx.x);
  if (part.capacity > 0 && r < rows) to[r] = part.RingAt(batch, first + r);
  for (int lanes = 8; lanes > 0; lanes /= 2) sum = __fadd_rn(sum, ShuffleXor(sum, lanes));
  const float mean = __fdiv_rn(sum, static_cast<float>(part.dim));
  if (row < rows && lane == 0) rs[row] = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, part.eps)));
}

__global__ void __launch_bounds__(kThreads) Rows(const Launch launch) {
  extern __shared__ float4 staged4[];
  __shared__ float rs[kMostNormed];
  __shared__ std::int64_t to[kMostRows];
  auto* staged = reinterpret_cast<float*>(staged4);
  for (std::int64_t i = blockIdx.x; i < launch.tiles; i += gridDim.x) {
    std::int64_t tile = i;
    int p = 0;
    while (tile >= launch.part[p].tiles) tile -= launch.part[p++].tiles;
    const Part& part = launch.part[p];
    const std::int64_t first = tile * part.rows_each;
    const std::int64_t left = part.rows - first;
    const int rows = left < part.rows_each ? static_cast<int>(left) : part.rows_each;
    if (part.normed) {
      Measure(part, launch.batch, first, rows, staged, rs, to);
    } else if (part.capacity > 0 && threadIdx.x < rows) {
      to[threadIdx.x] = part.RingAt(launch.batch, first + threadIdx.x);
    }
    __syncthreads();
    const int items = ItemsOf(part);
    for (int u = threadIdx.x; u < rows * items; u += kThreads) {
      const int r = u / items;
      const std::int64_t at = part.capacity > 0 ? to[r] : (first + r) * part.dim;
      if (at < 0) continue;  // a later token takes this row
      Source x = {part.x, part.x_bf16, part.XAt(first + r), part.weight, 1.0f, part.normed};
      if (part.normed) {
        x.rs = rs[r];
        if (part.dim <= kStaged) {
          x.data = staged;
          x.is_bf16 = false;
          x.at = r * StagedStep(part.dim);
        }
      }
      PutItem(part, x, first + r, u % items, at);
    }
    __syncthreads();  // the next tile writes shared memory
  }
}

bool IsAligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

// Whether all that a thread touches comes in sixteens of bytes.
bool TakesVectors(const Part& p) {
  const std::int64_t x = p.x_bf16 ? 8 : 4;  // elements
  const std::int64_t out = p.out_bf16 ? 8 : 4;
  return p.dim % 8 == 0 && p.pairs % (p.half ? 8 : 4) == 0 && IsAligned(p.x) && IsAligned(p.out) &&
         IsAligned(p.weight) && IsAligned(p.table) && p.x_row % x == 0 && p.x_token % x == 0 &&
         p.ring_width % out == 0 && p.ring_column % out == 0;
}

void Add(Launch& launch, Part part) {
  if (part.rows == 0) return;
  part.vector = TakesVectors(part);
  part.rows_each = static_cast<int>(
      std::clamp<std::int64_t>(kTile / part.dim, 1, part.normed ? kMostNormed : kMostRows));
  part.tiles = (part.rows + part.rows_each - 1) / part.rows_each;
  launch.tiles += part.tiles;
  launch.part[launch.parts++] = part;
}

void Enqueue(const Launch& launch, const Exec& exec) {
  if (launch.tiles == 0) return;
  std::size_t shared = 0;
  for (const Part& p : launch.part) {
    if (p.normed)
      shared = std::max(shared,
                        static_cast<std::size_t>(p.rows_each * StagedStep(p.dim)) * sizeof(float));
  }
  constexpr std::int64_t kMostBlocks = 1 << 30;
  Rows<<<dim3(static_cast<unsigned>(std::min(launch.tiles, kMostBlocks))), kThreads, shared,
         static_cast<Stream>(exec.stream)>>>(launch);
}

Part PartOf(const RmsNormArgs& a) {
  return {.x = a.x,
          .out = a.out,
          .weight = a.weight,
          .rows = a.rows,
          .x_row = a.x_step(),
          .dim = static_cast<int>(a.width),
          .eps = a.eps,
          .normed = true,
          .x_bf16 = a.x_type == DType::kBF16,
          .out_bf16 = a.out_type == DType::kBF16};
}

Part PartOf(const RopeArgs& a) {
  const bool even = a.x_token == 0 || a.x_token == a.heads * a.x_step();
  return {.x = a.x,
          .out = a.out,
          .table = a.table,
          .rows = a.tokens * a.heads,
          .x_row = a.x_step(),
          .x_token = even ? 0 : a.x_token,
          .heads = static_cast<int>(a.heads),
          .dim = static_cast<int>(a.dim),
          .pairs = static_cast<int>(a.pairs),
          .sign = a.inverse ? -1.0f : 1.0f,
          .half = a.pairing == RopePairing::kHalf,
          .x_bf16 = a.x_type == DType::kBF16,
          .out_bf16 = a.out_type == DType::kBF16};
}

Part PartOf(const NormRopeArgs& a) {
  Part part = PartOf(a.rope);
  part.weight = a.weight;
  part.eps = a.eps;
  part.normed = true;
  return part;
}

Part CopyOf(const void* x, std::int64_t row, DType type, std::int64_t rows, std::int64_t width) {
  return {.x = x,
          .rows = rows,
          .x_row = row,
          .dim = static_cast<int>(width),
          .x_bf16 = type == DType::kBF16,
          .out_bf16 = type == DType::kBF16};
}

Part ToRing(Part part, const StateRows& ring, std::int64_t column) {
  part.out = ring.data;
  part.capacity = ring.capacity;
  part.ring_width = ring.width;
  part.ring_column = column;
  return part;
}

}  // namespace

void RmsNorm(const RmsNormArgs& a, const Exec& exec) {
  Launch launch;
  Add(launch, PartOf(a));
  Enqueue(launch, exec);
}

void DualRmsNorm(const DualRmsNormArgs& a, const Exec& exec) {
  Launch launch;
  Add(launch, PartOf(a.first));
  Add(launch, PartOf(a.second));
  Enqueue(launch, exec);
}

void Rope(const RopeArgs& a, const Exec& exec) {
  Launch launch;
  Add(launch, PartOf(a));
  Enqueue(launch, exec);
}

void NormRope(const NormRopeArgs& a, const Exec& exec) {
  Launch launch;
  Add(launch, PartOf(a));
  Enqueue(launch, exec);
}

void NormRopeWrite(const NormRopeWriteArgs& a, const Exec& exec) {
  const RopeArgs& k = a.k.rope;
  Launch launch;
  launch.batch = a.batch;
  Add(launch, PartOf(a.q));
  Add(launch, ToRing(PartOf(a.k), a.keys, 0));
  Add(launch, ToRing(CopyOf(a.v, a.v_row, k.out_type, k.tokens, a.values.width), a.values, 0));
  Enqueue(launch, exec);
}

void RopeWrite(const RopeWriteArgs& a, const Exec& exec) {
  const RopeArgs& k = a.k_pe;
  Launch launch;
  launch.batch = a.batch;
  Add(launch, ToRing(CopyOf(a.c, a.c_row, k.out_type, k.tokens, a.c_width), a.latent, 0));
  Add(launch, ToRing(PartOf(k), a.latent, a.c_width));
  Enqueue(launch, exec);
}

}  // namespace birkhoff::gpu
