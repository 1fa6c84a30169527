// Portable mHC kernels with the bits of the CPU's: class "mhc f32".
//
//   coefficients  sixteen slices of a token side by side, eight lanes to a chain; their sums go to
//                 scratch, then one thread per token does the rest
//   the others    one thread per column; norms are those of rows.cu
#include <algorithm>

#include "kernels/gpu/kernels.h"
#include "kernels/gpu/math.h"
#include "kernels/gpu/portable.h"

namespace birkhoff::gpu {
namespace {

constexpr int kSlices = 16;
constexpr int kLanes = 8;  // of a chain

// out_m = post_m x + sum_j comb[j, m] X_j. out may be streams: a thread reads what it writes.
template <class T, int hc>
__global__ void Post(const T* x, std::int64_t x_step, MhcStreams streams, const float* post,
                     const float* comb, T* out, std::int64_t tokens, std::int64_t hidden) {
  for (std::int64_t i = FirstItem(); i < tokens * hidden; i += ItemStride()) {
    const std::int64_t token = i / hidden;
    const std::int64_t column = i % hidden;
    const std::int64_t at = token * hc * hidden + column;
    const T* in = static_cast<const T*>(streams.data) + token * streams.token + column;
    const float from_x = Widen(x[token * x_step + column]);
    float s[hc];
#pragma unroll
    for (int j = 0; j < hc; ++j) s[j] = Widen(in[j * streams.stream]);
#pragma unroll
    for (int m = 0; m < hc; ++m) {
      float a = __fmul_rn(post[token * hc + m], from_x);
#pragma unroll
      for (int j = 0; j < hc; ++j) a = __fmaf_rn(comb[(token * hc + j) * hc + m], s[j], a);
      Narrow(a, out + at + m * hidden);
    }
  }
}

template <class T, int hc>
__global__ void Collapse(MhcStreams streams, const float* pre, T* out, std::int64_t tokens,
                         std::int64_t hidden) {
  for (std::int64_t i = FirstItem(); i < tokens * hidden; i += ItemStride()) {
    const std::int64_t token = i / hidden;
    const T* s = static_cast<const T*>(streams.data) + token * streams.token + i % hidden;
    float v = __fmul_rn(pre[token * hc], Widen(s[0]));
#pragma unroll
    for (int j = 1; j < hc; ++j)
      v = __fmaf_rn(pre[token * hc + j], Widen(s[j * streams.stream]), v);
    Narrow(v, out + i);
  }
}

// partial[slice, token, output]: fn x for the first `rows` outputs, then the sum of squares of each
// stream. A block per slice and token.
template <class T>
__global__ void Project(MhcStreams streams, const float* fn, int rows, int hc, std::int64_t tokens,
                        std::int64_t hidden, float* partial) {
  const int lane = threadIdx.x % kLanes;
  const int group = threadIdx.x / kLanes;
  const int outputs = rows + hc;
  const std::int64_t chunks = (hidden + 31) / 32;
  for (std::int64_t b = blockIdx.x; b < kSlices * tokens; b += gridDim.x) {
    const std::int64_t slice = b / tokens;
    const std::int64_t token = b % tokens;
    const T* x = static_cast<const T*>(streams.data) + token * streams.token;
    const std::int64_t begin = slice * chunks / kSlices * 32;
    const std::int64_t end = (slice + 1) * chunks / kSlices * 32;
    // Every group of a warp goes the same number of times round, for the shuffles.
    for (int first = 0; first < outputs; first += kThreads / kLanes) {
      const int output = first + group;
      const bool square = output >= rows;
      const float* f = fn + output * hc * hidden;
      float sum = 0;
      for (std::int64_t chunk = begin; chunk < end && output < outputs; chunk += 32) {
        for (int j = square ? output - rows : 0; j < (square ? output - rows + 1 : hc); ++j) {
          for (std::int64_t c = chunk; c < chunk + 32 && c < hidden; c += kLanes) {
            const std::int64_t at = j * hidden + c + lane;  // of fn
            const bool inside = c + lane < hidden;
            const float v = inside ? Widen(x[j * streams.stream + c + lane]) : 0.0f;
            const float w = square ? v : inside ? f[at] : 0.0f;
            sum = __fmaf_rn(w, v, sum);
          }
        }
      }
      sum = __fadd_rn(sum, ShuffleXor(sum, 1));
      sum = __fadd_rn(sum, ShuffleXor(sum, 2));
      sum = __fadd_rn(sum, ShuffleXor(sum, 4));
      if (lane == 0 && output < outputs) partial[b * outputs + output] = sum;
    }
  }
}

// The sums of a token over the slices.
struct Sums {
  const float* partial;
  std::int64_t token;
  std::int64_t tokens;
  int outputs;

  __device__ float operator()(int output) const {
    float s[kSlices];
#pragma unroll
    for (int i = 0; i < kSlices; ++i) s[i] = partial[(i * tokens + token) * outputs + output];
#pragma unroll
    for (int step = 1; step < kSlices; step *= 2) {
#pragma unroll
      for (int i = 0; i < kSlices; i += 2 * step) s[i] = __fadd_rn(s[i], s[i + step]);
    }
    return s[0];
  }
};

// 1 / sqrt(mean square + eps) of the streams of a token.
template <int hc>
__device__ float InverseRms(const Sums& sums, int rows, std::int64_t hidden, float eps) {
  float g[hc];
#pragma unroll
  for (int j = 0; j < hc; ++j) g[j] = sums(rows + j);
#pragma unroll
  for (int step = 1; step < hc; step *= 2) {
#pragma unroll
    for (int j = 0; j < hc; j += 2 * step) g[j] = __fadd_rn(g[j], g[j + step]);
  }
  const float mean = __fdiv_rn(g[0], static_cast<float>(hc * hidden));
  return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, eps)));
}

__device__ float Logit(float sum, float rs, float scale, float base) {
  return __fadd_rn(__fmul_rn(__fmul_rn(sum, rs), scale), base);
}

// See cpu/mhc_coefficients.h.
template <int hc>
__device__ void Sinkhorn(float (&m)[hc * hc], float eps, int iterations) {
  float u[hc], v[hc], d[hc], e[hc];
#pragma unroll
  for (int i = 0; i < hc; ++i) {
    float largest = m[i * hc];
#pragma unroll
    for (int j = 1; j < hc; ++j) largest = Larger(largest, m[i * hc + j]);
    float sum = 0;
#pragma unroll
    for (int j = 0; j < hc; ++j) {
      m[i * hc + j] = Exp(__fsub_rn(m[i * hc + j], largest));
      sum = __fadd_rn(sum, m[i * hc + j]);
    }
#pragma unroll
    for (int j = 0; j < hc; ++j) m[i * hc + j] = __fadd_rn(__fdiv_rn(m[i * hc + j], sum), eps);
    u[i] = v[i] = d[i] = e[i] = 1.0f;
  }
  for (int step = 0; step < iterations; ++step) {
    if (step > 0) {
#pragma unroll
      for (int i = 0; i < hc; ++i) {
        d[i] = __fmul_rn(eps, d[i]);
#pragma unroll
        for (int j = 0; j < hc; ++j) d[i] = __fmaf_rn(m[i * hc + j], v[j], d[i]);
        u[i] = __fdiv_rn(1.0f, d[i]);
      }
    }
#pragma unroll
    for (int j = 0; j < hc; ++j) {
      e[j] = __fmul_rn(eps, e[j]);
#pragma unroll
      for (int i = 0; i < hc; ++i) e[j] = __fmaf_rn(m[i * hc + j], u[i], e[j]);
      v[j] = __fdiv_rn(1.0f, e[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < hc; ++i) {
#pragma unroll
    for (int j = 0; j < hc; ++j) m[i * hc + j] = __fmul_rn(__fmul_rn(u[i], m[i * hc + j]), v[j]);
  }
}

template <int hc>
__global__ void Coefficients(const float* partial, MhcSite site, std::int64_t tokens,
                             std::int64_t hidden, float* pre, float* post, float* comb) {
  constexpr int kRows = hc * (hc + 2);
  for (std::int64_t t = FirstItem(); t < tokens; t += ItemStride()) {
    const Sums sums = {partial, t, tokens, kRows + hc};
    const float rs = InverseRms<hc>(sums, kRows, hidden, site.rms_eps);
    const auto logit = [&](int row, float scale) {
      return Logit(sums(row), rs, scale, site.base[row]);
    };
    for (int j = 0; j < hc; ++j) {
      pre[t * hc + j] = __fadd_rn(Sigmoid(logit(j, site.scale[0])), site.pre_eps);
      post[t * hc + j] = __fmul_rn(site.post_mult, Sigmoid(logit(hc + j, site.scale[1])));
    }
    float m[hc * hc];
#pragma unroll
    for (int i = 0; i < hc * hc; ++i) m[i] = logit(2 * hc + i, site.scale[2]);
    Sinkhorn<hc>(m, site.sinkhorn_eps, site.iterations);
#pragma unroll
    for (int i = 0; i < hc * hc; ++i) comb[t * hc * hc + i] = m[i];
  }
}

// The weights of the head, to the front of scratch.
template <int hc>
__global__ void HeadWeights(const float* partial, MhcHeadArgs a, float* pre) {
  for (std::int64_t t = FirstItem(); t < a.tokens; t += ItemStride()) {
    const Sums sums = {partial, t, a.tokens, 2 * hc};
    const float rs = InverseRms<hc>(sums, hc, a.hidden, a.rms_eps);
    for (int j = 0; j < hc; ++j)
      pre[t * hc + j] = __fadd_rn(Sigmoid(Logit(sums(j), rs, a.scale[0], a.base[j])), a.eps);
  }
}

// Calls f.template operator()<T, hc>() for the storage type and the number of streams.
template <class F>
void Dispatch(DType type, std::int64_t hc, F f) {
  const auto with_type = [&]<class T>() {
    if (hc == 2) {
      f.template operator()<T, 2>();
    } else if (hc == 4) {
      f.template operator()<T, 4>();
    } else {
      f.template operator()<T, 8>();
    }
  };
  if (type == DType::kBF16) {
    with_type.template operator()<std::uint16_t>();
  } else {
    with_type.template operator()<float>();
  }
}

Stream StreamOf(const Exec& exec) { return static_cast<Stream>(exec.stream); }

template <class T>
void RunProject(MhcStreams streams, const float* fn, int rows, int hc, std::int64_t tokens,
                std::int64_t hidden, float* partial, Stream stream) {
  Project<T><<<Blocks(kSlices * tokens * kThreads), kThreads, 0, stream>>>(streams, fn, rows, hc,
                                                                           tokens, hidden, partial);
}

std::size_t PartialBytes(std::int64_t tokens, std::int64_t outputs) {
  return static_cast<std::size_t>(kSlices * tokens * outputs) * sizeof(float);
}

}  // namespace

void MhcPost(const MhcPostArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  Dispatch(a.type, a.hc, [&]<class T, int hc>() {
    Post<T, hc><<<Blocks(a.tokens * a.hidden), kThreads, 0, StreamOf(exec)>>>(
        static_cast<const T*>(a.x), a.layout.x == 0 ? a.hidden : a.layout.x, StreamsOf(a), a.post,
        a.comb, static_cast<T*>(a.out), a.tokens, a.hidden);
  });
}

void MhcCollapse(const MhcCollapseArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  Dispatch(a.type, a.hc, [&]<class T, int hc>() {
    Collapse<T, hc><<<Blocks(a.tokens * a.hidden), kThreads, 0, StreamOf(exec)>>>(
        StreamsOf(a), a.pre, static_cast<T*>(a.out), a.tokens, a.hidden);
  });
}

void MhcCoeffs(const MhcCoeffsArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  auto* partial = static_cast<float*>(exec.scratch);
  Dispatch(a.type, a.hc, [&]<class T, int hc>() {
    RunProject<T>(StreamsOf(a), a.site.fn, hc * (hc + 2), hc, a.tokens, a.hidden, partial,
                  StreamOf(exec));
    Coefficients<hc><<<Blocks(a.tokens), kThreads, 0, StreamOf(exec)>>>(
        partial, a.site, a.tokens, a.hidden, a.pre, a.post, a.comb);
  });
}

void MhcHead(const MhcHeadArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  auto* pre = static_cast<float*>(exec.scratch);
  float* partial = pre + a.tokens * a.hc;
  Dispatch(a.type, a.hc, [&]<class T, int hc>() {
    RunProject<T>(StreamsOf(a), a.fn, hc, hc, a.tokens, a.hidden, partial, StreamOf(exec));
    HeadWeights<hc><<<Blocks(a.tokens), kThreads, 0, StreamOf(exec)>>>(partial, a, pre);
  });
  MhcCollapse({a.streams, pre, a.out, a.type, a.tokens, a.hc, a.hidden, a.layout}, exec);
}

void MhcBoundaryShifted(const MhcBoundaryShiftedArgs& shifted, const Exec& exec) {
  const MhcBoundaryArgs& a = shifted.boundary;
  if (a.tokens == 0) return;
  MhcPost(
      {a.x, a.streams, a.post, a.comb, a.streams_out, a.type, a.tokens, a.hc, a.hidden, a.layout},
      exec);
  MhcCoeffs(
      {a.streams_out, a.site, a.pre_out, a.post_out, a.comb_out, a.type, a.tokens, a.hc, a.hidden},
      exec);
  void* h = a.h != nullptr ? a.h : exec.scratch;  // of the projection no longer needed
  MhcCollapse({a.streams_out, shifted.pre, h, a.type, a.tokens, a.hc, a.hidden}, exec);
  if (a.norm_weight != nullptr)
    RmsNorm(NormInPlace(h, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps), exec);
  if (a.fp8.format.group == 0) return;
  Quantise({.x = h, .fp8 = a.fp8, .type = a.type, .rows = a.tokens, .width = a.hidden}, exec);
}

void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) {
  MhcBoundaryShifted({a, a.pre_out}, exec);
}

void MhcTail(const MhcTailArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  MhcPost(
      {a.x, a.streams, a.post, a.comb, a.streams_out, a.type, a.tokens, a.hc, a.hidden, a.layout},
      exec);
  MhcHead({a.streams_out, a.fn, a.base, a.scale, a.out, a.type, a.tokens, a.hc, a.hidden, a.rms_eps,
           a.eps},
          exec);
  RmsNorm(NormInPlace(a.out, a.norm_weight, a.type, a.tokens, a.hidden, a.norm_eps), exec);
}

std::size_t MhcCoeffsScratch(const MhcCoeffsArgs& a, int) {
  return PartialBytes(a.tokens, a.hc * (a.hc + 3));
}
std::size_t MhcBoundaryScratch(const MhcBoundaryArgs& a, int) {
  const auto of_h = static_cast<std::size_t>(a.fp8.format.group == 0 ? 0 : a.tokens * a.hidden) * 2;
  return std::max(PartialBytes(a.tokens, a.hc * (a.hc + 3)), of_h);
}
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs& a, int threads) {
  return MhcBoundaryScratch(a.boundary, threads);
}
std::size_t MhcTailScratch(const MhcTailArgs& a, int threads) {
  return MhcHeadScratch({.tokens = a.tokens, .hc = a.hc, .hidden = a.hidden}, threads);
}
std::size_t MhcHeadScratch(const MhcHeadArgs& a, int) {
  return PartialBytes(a.tokens, 2 * a.hc) +
         static_cast<std::size_t>(a.tokens * a.hc) * sizeof(float);
}

}  // namespace birkhoff::gpu
