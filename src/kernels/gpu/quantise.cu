// FP8 of rows, as they are or behind a norm or a SwiGLU, with the bytes of the CPU's kernels.
//
//   groups of 8, 16, ... 256 columns   a warp for 256 columns of a row, eight to a lane
//   others, whole rows                 a block for a group, eight columns to a thread and round
//   behind a norm                      a block for a row: its sum of squares, then as above
//
// Bound by memory: what is quantised stays in registers between its largest and its bytes, but for
// what a group has beyond 8192 columns, which is made again. A norm reads its row twice, the second
// time from cache.
#include "kernels/args/fp8.h"
#include "kernels/gpu/kernels.h"
#include "kernels/gpu/math.h"
#include "kernels/gpu/portable.h"

namespace birkhoff::gpu {
namespace {

constexpr int kEight = 8;
constexpr int kWarp = 32;  // threads that exchange values, also where a wave has 64
constexpr int kTile = kWarp * kEight;

struct Eight {
  float v[kEight] = {};
};

__device__ float LowHalf(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ float HighHalf(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

// The first n of eight elements, zeros behind them. wide: n >= 8 or n <= 0, and p is aligned to 16
// bytes.
__device__ Eight Read(const float* p, std::int64_t n, bool wide) {
  if (wide && n > 0) {
    const float4 a = reinterpret_cast<const float4*>(p)[0];
    const float4 b = reinterpret_cast<const float4*>(p)[1];
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
  }
  Eight e;
#pragma unroll
  for (int i = 0; i < kEight; ++i) e.v[i] = i < n ? p[i] : 0.0f;
  return e;
}
__device__ Eight Read(const std::uint16_t* p, std::int64_t n, bool wide) {
  if (wide && n > 0) {
    const uint4 a = *reinterpret_cast<const uint4*>(p);
    return {{LowHalf(a.x), HighHalf(a.x), LowHalf(a.y), HighHalf(a.y), LowHalf(a.z), HighHalf(a.z),
             LowHalf(a.w), HighHalf(a.w)}};
  }
  Eight e;
#pragma unroll
  for (int i = 0; i < kEight; ++i) e.v[i] = i < n ? Widen(p[i]) : 0.0f;
  return e;
}

// Stores the first n as T and leaves in e what was stored.
__device__ void Write(Eight& e, std::int64_t n, bool wide, float* p) {
  if (wide && n > 0) {
    reinterpret_cast<float4*>(p)[0] = {e.v[0], e.v[1], e.v[2], e.v[3]};
    reinterpret_cast<float4*>(p)[1] = {e.v[4], e.v[5], e.v[6], e.v[7]};
    return;
  }
#pragma unroll
  for (int i = 0; i < kEight; ++i) {
    if (i < n) p[i] = e.v[i];
  }
}
__device__ void Write(Eight& e, std::int64_t n, bool wide, std::uint16_t* p) {
  std::uint16_t half[kEight];
#pragma unroll
  for (int i = 0; i < kEight; ++i) {
    Narrow(e.v[i], half + i);
    e.v[i] = Widen(half[i]);
  }
  if (wide && n > 0) {
    const auto pair = [&](int i) {
      return half[i] | static_cast<std::uint32_t>(half[i + 1]) << 16;
    };
    *reinterpret_cast<uint4*>(p) = {pair(0), pair(2), pair(4), pair(6)};
    return;
  }
#pragma unroll
  for (int i = 0; i < kEight; ++i) {
    if (i < n) p[i] = half[i];
  }
}

// As T would store it.
__device__ float Rounded(float x, const float*) { return x; }
__device__ float Rounded(float x, const std::uint16_t*) {
  std::uint16_t half;
  Narrow(x, &half);
  return Widen(half);
}

// max(largest, |e|), a NaN left out: fmaxf gives the other operand.
__device__ float LargestOf(const Eight& e, float largest) {
#pragma unroll
  for (int i = 0; i < kEight; ++i) largest = fmaxf(largest, fabsf(e.v[i]));
  return largest;
}
// Of `lanes` threads, a power of two up to kWarp; of all threads of the block.
__device__ float OfLanes(float largest, int lanes) {
  for (int step = 1; step < lanes; step *= 2) largest = fmaxf(largest, ShuffleXor(largest, step));
  return largest;
}
__device__ float OfBlock(float largest) {
  constexpr int kParts = kThreads / kWarp;
  __shared__ float part[kParts];
  largest = OfLanes(largest, kWarp);
  __syncthreads();  // the group before has been read
  if (threadIdx.x % kWarp == 0) part[threadIdx.x / kWarp] = largest;
  __syncthreads();
  for (int i = 0; i < kParts; ++i) largest = fmaxf(largest, part[i]);
  return largest;
}

// Two columns, the first in the low byte.
__device__ std::uint32_t E4m3Pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return fp8::E4m3(low) | static_cast<std::uint32_t>(fp8::E4m3(high)) << 8;
#endif
}

// x / scale. Of a bf16 a product and a correction give the byte of the quotient (args/fp8.h).
template <bool kBf16>
__device__ void Divide(Eight& e, float scale) {
  const fp8::Divisor divisor = fp8::DivisorOf(scale, kBf16 ? __frcp_rn(scale) : 0.0f);
#pragma unroll
  for (int i = 0; i < kEight; ++i)
    e.v[i] = kBf16 ? divisor.Divide(e.v[i]) : __fdiv_rn(e.v[i], scale);
}

// The first n of eight columns by their scale.
template <bool kBf16>
__device__ void StoreFp8(Eight e, float scale, std::int64_t n, bool wide, std::uint8_t* p) {
  Divide<kBf16>(e, scale);
  const auto four = [&](int i) {
    return E4m3Pair(e.v[i], e.v[i + 1]) | E4m3Pair(e.v[i + 2], e.v[i + 3]) << 16;
  };
  const uint2 q = {four(0), four(4)};
  if (wide) {
    if (n > 0) *reinterpret_cast<uint2*>(p) = q;
    return;
  }
#pragma unroll
  for (int i = 0; i < kEight; ++i) {
    if (i < n) p[i] = static_cast<std::uint8_t>((i < 4 ? q.x : q.y) >> (i % 4 * 8));
  }
}

// Where rows go. wide: eight columns begin at multiples of eight everywhere, and there are eight.
struct Target {
  Fp8Rows fp8 = {};  // with steps
  std::int64_t rows = 0;
  std::int64_t width = 0;
  bool wide = false;

  __device__ std::uint8_t* At(std::int64_t row, std::int64_t column) const {
    return static_cast<std::uint8_t*>(fp8.data) + row * width + column;
  }
  __device__ std::int64_t Tiles() const { return (width + kTile - 1) / kTile; }
  __device__ std::int64_t Groups() const { return fp8::GroupsOf(fp8.format, width); }
};

// Whether groups lie in the lanes of a warp side by side.
bool AreOfLanes(std::int64_t group) {
  return group >= kEight && group <= kTile && (group & (group - 1)) == 0;
}

// Columns [256 tile, ...) of a row by a warp. value(row, column, n) gives the first n of eight
// columns, zeros behind them.
template <bool kBf16, class Value>
__device__ void PutTile(const Value& value, const Target& to, std::int64_t row, std::int64_t tile) {
  const int lane = threadIdx.x % kWarp;
  const int lanes = static_cast<int>(to.fp8.format.group) / kEight;
  const std::int64_t column = tile * kTile + lane * kEight;
  const std::int64_t n = to.width - column;
  const Eight e = value(row, column, n);
  const float scale = fp8::ScaleOf(OfLanes(LargestOf(e, 0.0f), lanes), to.fp8.format);
  if (n <= 0) return;
  StoreFp8<kBf16>(e, scale, n, to.wide, to.At(row, column));
  if (lane % lanes == 0) fp8::PutScale(to.fp8, row, column / to.fp8.format.group, scale);
}

// A group of a row by a block.
template <bool kBf16, class Value>
__device__ void PutGroup(const Value& value, const Target& to, std::int64_t row,
                         std::int64_t group) {
  constexpr int kKept = 4;
  constexpr std::int64_t kStep = kThreads * kEight;
  const std::int64_t begin = group * to.fp8.format.group;
  const std::int64_t size = to.fp8.format.group;
  const std::int64_t end = begin + size < to.width ? begin + size : to.width;
  const std::int64_t first = begin + threadIdx.x * kEight;
  Eight kept[kKept];
  float largest = 0;
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const std::int64_t c = first + i * kStep;
    if (c < end) kept[i] = value(row, c, end - c);
    largest = LargestOf(kept[i], largest);
  }
  for (std::int64_t c = first + kKept * kStep; c < end; c += kStep)
    largest = LargestOf(value(row, c, end - c), largest);
  const float scale = fp8::ScaleOf(OfBlock(largest), to.fp8.format);
#pragma unroll
  for (int i = 0; i < kKept; ++i) {
    const std::int64_t c = first + i * kStep;
    if (c < end) StoreFp8<kBf16>(kept[i], scale, end - c, to.wide, to.At(row, c));
  }
  for (std::int64_t c = first + kKept * kStep; c < end; c += kStep)
    StoreFp8<kBf16>(value(row, c, end - c), scale, end - c, to.wide, to.At(row, c));
  if (threadIdx.x == 0) fp8::PutScale(to.fp8, row, group, scale);
}

template <bool kBf16, class Value>
__global__ void PutTiles(Value value, Target to) {
  const std::int64_t tiles = to.Tiles();
  for (std::int64_t i = FirstItem() / kWarp; i < to.rows * tiles; i += ItemStride() / kWarp)
    PutTile<kBf16>(value, to, i / tiles, i % tiles);
}
template <bool kBf16, class Value>
__global__ void PutGroups(Value value, Target to) {
  const std::int64_t groups = to.Groups();
  for (std::int64_t i = blockIdx.x; i < to.rows * groups; i += gridDim.x)
    PutGroup<kBf16>(value, to, i / groups, i % groups);
}

template <class T>
struct Plain {
  const T* x;
  std::int64_t step;
  bool wide;

  __device__ Eight operator()(std::int64_t row, std::int64_t column, std::int64_t n) const {
    return Read(x + row * step + column, n, wide);
  }
};

template <class T>
struct Gated {
  const T* gate;
  const T* up;
  std::int64_t step;
  float limit;
  bool wide;

  __device__ Eight operator()(std::int64_t row, std::int64_t column, std::int64_t n) const {
    Eight g = Read(gate + row * step + column, n, wide);
    const Eight u = Read(up + row * step + column, n, wide);
#pragma unroll
    for (int i = 0; i < kEight; ++i) {
      const float a = Smaller(limit, g.v[i]);
      const float b = Larger(-limit, Smaller(limit, u.v[i]));
      g.v[i] = Rounded(__fmul_rn(__fmul_rn(a, Sigmoid(a)), b), gate);
    }
    return g;
  }
};

// 1 / sqrt(mean square + eps) of a row with the bits of class "f32x16": lane l of sixteen takes the
// columns l, l + 16, ... For all threads of the block.
template <class T>
__device__ float InverseRms(const T* row, std::int64_t width, float eps, bool wide) {
  constexpr int kColumns = 4096;
  __shared__ __align__(16) float columns[kColumns];
  __shared__ float result;
  float sum = 0;
  for (std::int64_t base = 0; base < width; base += kColumns) {
    __syncthreads();  // the columns before have been read
    for (int c = static_cast<int>(threadIdx.x) * kEight; c < kColumns; c += kThreads * kEight) {
      Eight e = Read(row + base + c, width - base - c, wide);
      Write(e, kEight, true, columns + c);
    }
    __syncthreads();
    if (threadIdx.x >= 64) continue;  // a whole warp or wave, for the shuffles; sixteen would do
    const int end = static_cast<int>(width - base < kColumns ? width - base : kColumns);
#pragma unroll 8
    for (int c = static_cast<int>(threadIdx.x) % 16; c < (end + 15) / 16 * 16; c += 16)
      sum = __fmaf_rn(columns[c], columns[c], sum);
  }
  if (threadIdx.x < 64) {
    for (int lanes = 8; lanes > 0; lanes /= 2) sum = __fadd_rn(sum, ShuffleXor(sum, lanes));
    const float mean = __fdiv_rn(sum, static_cast<float>(width));
    if (threadIdx.x == 0) result = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, eps)));
  }
  __syncthreads();
  return result;
}

template <class X, class T>
struct Norm {
  const X* x;
  std::int64_t step;
  const float* weight;
  T* out;
  float eps;
};

template <bool kOfLanes, class X, class T>
__global__ void PutNorm(Norm<X, T> norm, Target to) {
  for (std::int64_t row = blockIdx.x; row < to.rows; row += gridDim.x) {
    const X* x = norm.x + row * norm.step;
    T* out = norm.out + row * to.width;
    const float rs = InverseRms(x, to.width, norm.eps, to.wide);
    const auto value = [&](std::int64_t, std::int64_t column, std::int64_t n) {
      Eight e = Read(x + column, n, to.wide);
      const Eight w = Read(norm.weight + column, n, to.wide);
#pragma unroll
      for (int i = 0; i < kEight; ++i) e.v[i] = __fmul_rn(__fmul_rn(e.v[i], rs), w.v[i]);
      Write(e, n, to.wide, out + column);
      return e;
    };
    if constexpr (kOfLanes) {
      for (std::int64_t i = threadIdx.x / kWarp; i < to.Tiles(); i += kThreads / kWarp)
        PutTile<sizeof(T) == 2>(value, to, row, i);
    } else {
      for (std::int64_t i = 0; i < to.Groups(); ++i) PutGroup<sizeof(T) == 2>(value, to, row, i);
    }
  }
}

// Whether rows of T begin at multiples of 16 bytes.
template <class T>
bool IsAligned(const T* p, std::int64_t step) {
  return reinterpret_cast<std::uintptr_t>(p) % 16 == 0 && step * sizeof(T) % 16 == 0;
}

Target TargetOf(const Fp8Rows& fp8, std::int64_t rows, std::int64_t width) {
  const bool wide = width % kEight == 0 && fp8.format.group % kEight == 0 &&
                    reinterpret_cast<std::uintptr_t>(fp8.data) % kEight == 0;
  return {fp8::WithSteps(fp8, width), rows, width, wide};
}

Stream StreamOf(const Exec& exec) { return static_cast<Stream>(exec.stream); }

template <class T, class Value>
void Put(const Value& value, const Target& to, const Exec& exec) {
  if (AreOfLanes(to.fp8.format.group)) {
    const std::int64_t tiles = (to.width + kTile - 1) / kTile;
    PutTiles<sizeof(T) == 2>
        <<<Blocks(to.rows * tiles * kWarp), kThreads, 0, StreamOf(exec)>>>(value, to);
  } else {
    const std::int64_t groups = fp8::GroupsOf(to.fp8.format, to.width);
    PutGroups<sizeof(T) == 2>
        <<<Blocks(to.rows * groups * kThreads), kThreads, 0, StreamOf(exec)>>>(value, to);
  }
}

// Calls f(T{}) for the storage type.
template <class F>
void WithType(DType type, F f) {
  if (type == DType::kBF16) {
    f(std::uint16_t{});
  } else {
    f(float{});
  }
}

}  // namespace

void Quantise(const QuantiseArgs& a, const Exec& exec) {
  if (a.rows == 0) return;
  WithType(a.type, [&](auto zero) {
    using T = decltype(zero);
    Target to = TargetOf(a.fp8, a.rows, a.width);
    const auto* x = static_cast<const T*>(a.x);
    to.wide = to.wide && IsAligned(x, a.x_step());
    Put<T>(Plain<T>{x, a.x_step(), to.wide}, to, exec);
  });
}

void SwigluQuantise(const SwigluQuantiseArgs& a, const Exec& exec) {
  if (a.rows == 0) return;
  WithType(a.type, [&](auto zero) {
    using T = decltype(zero);
    Target to = TargetOf(a.fp8, a.rows, a.width);
    const auto* gate = static_cast<const T*>(a.gate);
    const auto* up = static_cast<const T*>(a.up);
    to.wide = to.wide && IsAligned(gate, a.width) && IsAligned(up, a.width);
    Put<T>(Gated<T>{gate, up, a.width, a.limit, to.wide}, to, exec);
  });
}

void RmsNormQuantise(const RmsNormQuantiseArgs& a, const Exec& exec) {
  if (a.rows == 0) return;
  WithType(a.x_type, [&](auto of_x) {
    WithType(a.out_type, [&](auto of_out) {
      using X = decltype(of_x);
      using T = decltype(of_out);
      const Norm<X, T> norm = {static_cast<const X*>(a.x), a.x_step(), a.weight,
                               static_cast<T*>(a.out), a.eps};
      Target to = TargetOf(a.fp8, a.rows, a.width);
      to.wide = to.wide && IsAligned(norm.x, norm.step) && IsAligned(norm.out, a.width) &&
                IsAligned(norm.weight, 0);
      const dim3 blocks = Blocks(a.rows * kThreads);
      if (AreOfLanes(a.fp8.format.group)) {
        PutNorm<true><<<blocks, kThreads, 0, StreamOf(exec)>>>(norm, to);
      } else {
        PutNorm<false><<<blocks, kThreads, 0, StreamOf(exec)>>>(norm, to);
      }
    });
  });
}

}  // namespace birkhoff::gpu
