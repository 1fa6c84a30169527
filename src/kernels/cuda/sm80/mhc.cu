// mHC on the tensor cores of compute capability 8.0 and later, for any shape: a kernel that mixes
// and projects, then one that finishes. What the faster kernels for Hopper must equal bit for bit.
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/mhc_pack.h"
#include "kernels/cuda/mhc_row.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda::sm80 {
namespace {

constexpr int kWarps = 4;            // of the first kernel: a tile of tokens each
constexpr int kFinishThreads = 128;  // of the second: a token

struct ProjectArgs {
  const std::uint16_t* x = nullptr;  // [T, H], or null: streams are X'
  MhcStreams streams = {};
  std::int64_t x_step = 0;               // from a row of x to the next
  const float* post = nullptr;           // [T, hc]
  const float* comb = nullptr;           // [T, hc, hc]
  const uint4* fn = nullptr;             // packed
  std::uint16_t* streams_out = nullptr;  // [T, hc, H]
  float* partial = nullptr;              // [token][slice][kPitch]
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
};

// A warp takes the chunks of one slice for eight tokens.
template <int hc, int kRows>
__global__ void __launch_bounds__(kWarps * 32) MixAndProject(ProjectArgs a) {
  constexpr int kTiles = (kRows + 7) / 8;
  constexpr int kCoefficients = hc * (hc + 1);
  __shared__ alignas(16) float coefficients[kWarps][kTile][kCoefficients];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t slice = blockIdx.x % kSlices;
  const std::int64_t first = (blockIdx.x / kSlices * kWarps + warp) * kTile;
  if (first >= a.tokens) return;
  const std::int64_t token = first + lane / 4;
  const bool alive = token < a.tokens;
  float* own = coefficients[warp][lane / 4];
  if (a.x != nullptr && alive) {
    for (int i = lane % 4; i < kCoefficients; i += 4)
      own[i] = i < hc ? a.post[token * hc + i] : a.comb[token * hc * hc + i - hc];
  }
  __syncwarp();
  const std::int64_t chunks = (a.hidden + kChunk - 1) / kChunk;
  const std::int64_t begin = slice * chunks / kSlices;
  const std::int64_t end = (slice + 1) * chunks / kSlices;
  float fold[kTiles][2] = {};
  float gram[kGrams<hc>] = {};
  for (std::int64_t chunk = begin; chunk < end; ++chunk) {
    const std::int64_t column = chunk * kChunk + 8 * (lane % 4);
    uint4 mixed[hc] = {};
    const auto* streams_in = static_cast<const std::uint16_t*>(a.streams.data);
    if (alive)
      LoadStreams<hc>(streams_in + token * a.streams.token, a.streams.stream, column, a.hidden,
                      mixed);
    if (a.x != nullptr && alive) {
      uint4 streams[hc];
#pragma unroll
      for (int j = 0; j < hc; ++j) streams[j] = mixed[j];
      Mix<hc>(LoadColumns(a.x + token * a.x_step, column, a.hidden), streams, own, mixed);
#pragma unroll
      for (int j = 0; j < hc; ++j)
        StoreColumns(mixed[j], a.streams_out + (token * hc + j) * a.hidden, column, a.hidden);
    }
    __syncwarp();
    float acc[kTiles][4];
    const uint4* fn = a.fn + chunk * 2 * hc * kTiles * 32 + lane;
    Project<hc, kTiles>([&](int i) { return fn[i * 32]; }, mixed, acc);
    float g[kGrams<hc>];
    Gram<hc>(mixed, lane, g);
    const bool is_first = chunk == begin;
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float sum = __fadd_rn(acc[m][i], acc[m][i + 2]);
        fold[m][i] = is_first ? sum : __fadd_rn(fold[m][i], sum);
      }
    }
#pragma unroll
    for (int i = 0; i < kGrams<hc>; ++i) gram[i] = is_first ? g[i] : __fadd_rn(gram[i], g[i]);
  }
  const auto partial = [&](std::int64_t t) {
    return a.partial + (t * kSlices + slice) * kPitch<hc, kRows>;
  };
#pragma unroll
  for (int m = 0; m < kTiles; ++m) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const std::int64_t t = first + 2 * (lane % 4) + i;
      const int row = 8 * m + lane / 4;
      if (t < a.tokens && row < kRows) partial(t)[row] = fold[m][i];
    }
  }
  if (HoldsSums(lane) && alive) {
#pragma unroll
    for (int i = 0; i < kGrams<hc>; ++i) partial(token)[kRows + i] = gram[i];
  }
}

struct FinishArgs {
  MhcStreams streams = {};             // that h is read from
  const float* partial = nullptr;      // [T][slice][kPitch]
  const float* base = nullptr;         // [kRows]
  const float* scale = nullptr;        // [3], of the head [1]
  const float* norm_weight = nullptr;  // [H], or null
  const float* pre_before = nullptr;   // [T, hc], or null: h is read with the own pre
  float* pre_out = nullptr;            // [T, hc], or null for the head
  float* post_out = nullptr;           // [T, hc]
  float* comb_out = nullptr;           // [T, hc, hc]
  HTo h = {};                          // no place at all: coefficients alone
  VerdictConstants constants = {};
  float sinkhorn_eps = 0;
  int iterations = 0;
};

// A block finishes one token. kRows == hc: the head, which has no post and comb.
template <int hc, int kRows>
__global__ void __launch_bounds__(kFinishThreads) Finish(FinishArgs a) {
  extern __shared__ float sums[];  // kPitch, then what DirectNorm wants
  __shared__ float logits[kRows];
  __shared__ float pre[hc];
  __shared__ float norm;
  __shared__ bool direct;
  const std::int64_t token = blockIdx.x;
  const std::int64_t hidden = a.constants.hidden;
  const int lane = static_cast<int>(threadIdx.x);
  if (lane < 32) {
    const float* partial = a.partial + token * kSlices * kPitch<hc, kRows>;
    const auto v = Judge<hc, kRows>(
        a.constants, Affine<hc, kRows>(a.scale, a.base, lane),
        [&](int slice, int i) { return partial[slice * kPitch<hc, kRows> + i]; }, sums);
#pragma unroll
    for (int r = 0; r < Affine<hc, kRows>::kRounds; ++r) {
      if (lane + 32 * r < kRows) logits[lane + 32 * r] = v.logit[r];
    }
    if (lane < hc) {
      pre[lane] = a.pre_before != nullptr ? a.pre_before[token * hc + lane] : v.gate;
      if (a.pre_out != nullptr) a.pre_out[token * hc + lane] = v.gate;
    } else if (lane < 2 * hc && kRows > hc) {
      a.post_out[token * hc + lane - hc] = v.gate;
    }
    norm = v.norm;
    direct = v.direct || (a.pre_before != nullptr && a.constants.normed);
  }
  __syncthreads();
  if constexpr (kRows > hc) {
    if (lane == 32)
      Sinkhorn<hc>(logits + 2 * hc, a.sinkhorn_eps, a.iterations, a.comb_out + token * hc * hc);
  }
  if (a.h.bf16 == nullptr && a.h.fp8.format.group == 0) return;
  const auto* streams = static_cast<const std::uint16_t*>(a.streams.data) + token * a.streams.token;
  float scale = norm;
  if (direct)
    scale =
        DirectNorm<hc>(Team<SyncBlock>{lane, kFinishThreads, {}}, streams, pre, a.constants, sums);
  const auto collapse = [&]<int kGroup>() {
    CollapseRow<hc, kGroup>(Team<SyncBlock>{lane, kFinishThreads, {}}, streams, a.streams.stream,
                            pre, scale, a.norm_weight, hidden, a.h, token);
  };
  if (a.h.fp8.format.group == 0) {
    collapse.template operator()<0>();
  } else if (a.h.fp8.format.group == 32) {
    collapse.template operator()<32>();
  } else {
    collapse.template operator()<128>();
  }
}

template <int hc, int kRows>
void Run(const ProjectArgs& project, const FinishArgs& finish, cudaStream_t stream) {
  const std::int64_t tiles = (project.tokens + kTile - 1) / kTile;
  const auto blocks = static_cast<unsigned>((tiles + kWarps - 1) / kWarps * kSlices);
  MixAndProject<hc, kRows><<<blocks, kWarps * 32, 0, stream>>>(project);
  const std::int64_t chunks = (project.hidden + kChunk - 1) / kChunk;
  const auto shared =
      static_cast<std::size_t>(max(static_cast<std::int64_t>(kPitch<hc, kRows>), chunks + 1)) *
      sizeof(float);
  Finish<hc, kRows>
      <<<static_cast<unsigned>(project.tokens), kFinishThreads, shared, stream>>>(finish);
}

template <bool kIsHead>
std::size_t PartialBytes(std::int64_t tokens, std::int64_t hc) {
  std::size_t bytes = 0;
  WithStreams(hc, [&]<int n>() {
    constexpr int kRows = kIsHead ? n : n * (n + 2);
    constexpr int kFloats = kSlices * kPitch<n, kRows>;
    bytes = static_cast<std::size_t>(tokens) * kFloats * sizeof(float);
  });
  return bytes;
}

int Rows(std::int64_t hc) { return static_cast<int>(hc * (hc + 2)); }

// What the kernels read and where they put their sums.
template <class Args>
ProjectArgs ProjectOf(const Args& a, const Exec& exec) {
  ProjectArgs p;
  p.streams = StreamsOf(a);
  p.fn = static_cast<const uint4*>(exec.state);
  p.partial = static_cast<float*>(exec.scratch);
  p.tokens = a.tokens;
  p.hidden = a.hidden;
  return p;
}
// The same of an op that mixes first.
template <class Args>
ProjectArgs MixOf(const Args& a, const Exec& exec) {
  ProjectArgs p = ProjectOf(a, exec);
  p.x = static_cast<const std::uint16_t*>(a.x);
  p.x_step = a.layout.x == 0 ? a.hidden : a.layout.x;
  p.post = a.post;
  p.comb = a.comb;
  p.streams_out = static_cast<std::uint16_t*>(a.streams_out);
  return p;
}

// A site's part of the second kernel.
FinishArgs FinishSite(const MhcSite& site, std::int64_t hc, const ProjectArgs& project) {
  FinishArgs f;
  f.partial = project.partial;
  f.base = site.base;
  f.scale = site.scale;
  f.constants = VerdictConstants(hc, project.hidden);
  f.constants.rms_eps = site.rms_eps;
  f.constants.pre_eps = site.pre_eps;
  f.constants.post_mult = site.post_mult;
  f.sinkhorn_eps = site.sinkhorn_eps;
  f.iterations = site.iterations;
  return f;
}

cudaStream_t StreamOf(const Exec& exec) { return static_cast<cudaStream_t>(exec.stream); }

// pre_before: what h is read with, or null.
void Boundary(const MhcBoundaryArgs& a, const float* pre_before, const Exec& exec) {
  if (a.tokens == 0) return;
  const ProjectArgs project = MixOf(a, exec);
  FinishArgs finish = FinishSite(a.site, a.hc, project);
  finish.streams = {a.streams_out, a.hc * a.hidden, a.hidden};
  finish.norm_weight = a.norm_weight;
  finish.pre_before = pre_before;
  finish.pre_out = a.pre_out;
  finish.post_out = a.post_out;
  finish.comb_out = a.comb_out;
  finish.h = {static_cast<std::uint16_t*>(a.h), fp8::WithSteps(a.fp8, a.hidden)};
  finish.constants.normed = a.norm_weight != nullptr;
  finish.constants.norm_eps = a.norm_eps;
  finish.constants.strict = a.strict;
  WithStreams(a.hc, [&]<int hc>() { Run<hc, hc*(hc + 2)>(project, finish, StreamOf(exec)); });
}

}  // namespace

void MhcCoeffs(const MhcCoeffsArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const ProjectArgs project = ProjectOf(a, exec);
  FinishArgs finish = FinishSite(a.site, a.hc, project);
  finish.pre_out = a.pre;
  finish.post_out = a.post;
  finish.comb_out = a.comb;
  WithStreams(a.hc, [&]<int hc>() { Run<hc, hc*(hc + 2)>(project, finish, StreamOf(exec)); });
}

void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) { Boundary(a, nullptr, exec); }

void MhcBoundaryShifted(const MhcBoundaryShiftedArgs& a, const Exec& exec) {
  Boundary(a.boundary, a.pre, exec);
}

void MhcTail(const MhcTailArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const ProjectArgs project = MixOf(a, exec);
  FinishArgs finish;
  finish.streams = {a.streams_out, a.hc * a.hidden, a.hidden};
  finish.partial = project.partial;
  finish.base = a.base;
  finish.scale = a.scale;
  finish.norm_weight = a.norm_weight;
  finish.h.bf16 = static_cast<std::uint16_t*>(a.out);
  finish.constants = VerdictConstants(a.hc, a.hidden);
  finish.constants.rms_eps = a.rms_eps;
  finish.constants.pre_eps = a.eps;
  finish.constants.normed = true;
  finish.constants.norm_eps = a.norm_eps;
  WithStreams(a.hc, [&]<int hc>() { Run<hc, hc>(project, finish, StreamOf(exec)); });
}

void MhcHead(const MhcHeadArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const ProjectArgs project = ProjectOf(a, exec);
  FinishArgs finish;
  finish.streams = project.streams;
  finish.partial = project.partial;
  finish.base = a.base;
  finish.scale = a.scale;
  finish.h.bf16 = static_cast<std::uint16_t*>(a.out);
  finish.constants = VerdictConstants(a.hc, a.hidden);
  finish.constants.rms_eps = a.rms_eps;
  finish.constants.pre_eps = a.eps;
  WithStreams(a.hc, [&]<int hc>() { Run<hc, hc>(project, finish, StreamOf(exec)); });
}

std::size_t MhcCoeffsScratch(const MhcCoeffsArgs& a, int) {
  return PartialBytes<false>(a.tokens, a.hc);
}
std::size_t MhcBoundaryScratch(const MhcBoundaryArgs& a, int) {
  return PartialBytes<false>(a.tokens, a.hc);
}
std::size_t MhcBoundaryShiftedScratch(const MhcBoundaryShiftedArgs& a, int threads) {
  return MhcBoundaryScratch(a.boundary, threads);
}
std::size_t MhcHeadScratch(const MhcHeadArgs& a, int) { return PartialBytes<true>(a.tokens, a.hc); }
std::size_t MhcTailScratch(const MhcTailArgs& a, int) { return PartialBytes<true>(a.tokens, a.hc); }

std::size_t MhcCoeffsState(const MhcCoeffsArgs& a) {
  return PackedBytes(Rows(a.hc), static_cast<int>(a.hc), a.hidden);
}
std::size_t MhcBoundaryState(const MhcBoundaryArgs& a) {
  return PackedBytes(Rows(a.hc), static_cast<int>(a.hc), a.hidden);
}
std::size_t MhcHeadState(const MhcHeadArgs& a) {
  return PackedBytes(static_cast<int>(a.hc), static_cast<int>(a.hc), a.hidden);
}
std::size_t MhcBoundaryShiftedState(const MhcBoundaryShiftedArgs& a) {
  return MhcBoundaryState(a.boundary);
}
std::size_t MhcTailState(const MhcTailArgs& a) {
  return PackedBytes(static_cast<int>(a.hc), static_cast<int>(a.hc), a.hidden);
}

void MhcCoeffsPrepare(const MhcCoeffsArgs& a, const Exec& exec) {
  PackFn(a.site.fn, Rows(a.hc), static_cast<int>(a.hc), a.hidden, exec.state, StreamOf(exec));
}
void MhcBoundaryPrepare(const MhcBoundaryArgs& a, const Exec& exec) {
  PackFn(a.site.fn, Rows(a.hc), static_cast<int>(a.hc), a.hidden, exec.state, StreamOf(exec));
}
void MhcHeadPrepare(const MhcHeadArgs& a, const Exec& exec) {
  PackFn(a.fn, static_cast<int>(a.hc), static_cast<int>(a.hc), a.hidden, exec.state,
         StreamOf(exec));
}

void MhcBoundaryShiftedPrepare(const MhcBoundaryShiftedArgs& a, const Exec& exec) {
  MhcBoundaryPrepare(a.boundary, exec);
}
void MhcTailPrepare(const MhcTailArgs& a, const Exec& exec) {
  PackFn(a.fn, static_cast<int>(a.hc), static_cast<int>(a.hc), a.hidden, exec.state,
         StreamOf(exec));
}

}  // namespace birkhoff::cuda::sm80
