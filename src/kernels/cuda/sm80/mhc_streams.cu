// mHC post and collapse for bf16 rows of whole 16-byte words: a thread takes eight columns of all
// streams of a token. The bits are those of every other kernel: each operation is written.
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/mhc_brick.h"
#include "kernels/cuda/ptx/store.h"
#include "kernels/cuda/with_streams.h"

namespace birkhoff::cuda::sm80 {
namespace {

constexpr int kThreads = 256;

// Rows of words, and how many words from one to the next.
struct Rows {
  const uint4* data = nullptr;
  std::int64_t token = 0;
  std::int64_t stream = 0;
};

// Word `i` of the rows of 8 columns that this thread has, of `words` in all.
struct Place {
  std::int64_t token;
  std::int64_t word;

  __device__ Place(std::int64_t i, std::int64_t words_of_row)
      : token(i / words_of_row), word(i % words_of_row) {}

  __device__ const uint4* In(const Rows& rows) const {
    return rows.data + token * rows.token + word;
  }
};

template <int hc>
__global__ void __launch_bounds__(kThreads)
    Post(Rows x, Rows streams, const float* post, const float* comb, uint4* out, std::int64_t words,
         std::int64_t words_of_row) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= words) return;
  const Place at(i, words_of_row);
  const uint4* from = at.In(streams);
  uint4 in[hc], mixed[hc];
#pragma unroll
  for (int j = 0; j < hc; ++j) in[j] = from[j * streams.stream];
  alignas(16) float coefficients[hc * (hc + 1)];
#pragma unroll
  for (int j = 0; j < hc; ++j) coefficients[j] = __ldg(post + at.token * hc + j);
#pragma unroll
  for (int j = 0; j < hc * hc; ++j) coefficients[hc + j] = __ldg(comb + at.token * hc * hc + j);
  Mix<hc>(*at.In(x), in, coefficients, mixed);
  out += at.token * hc * words_of_row + at.word;
#pragma unroll
  for (int j = 0; j < hc; ++j) ptx::Store(out + j * words_of_row, mixed[j]);
}

template <int hc>
__global__ void __launch_bounds__(kThreads)
    CollapseStreams(Rows streams, const float* pre, uint4* out, std::int64_t words,
                    std::int64_t words_of_row) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= words) return;
  const Place at(i, words_of_row);
  const uint4* from = at.In(streams);
  uint4 in[hc];
  float weight[hc];
#pragma unroll
  for (int j = 0; j < hc; ++j) {
    in[j] = __ldg(from + j * streams.stream);
    weight[j] = __ldg(pre + at.token * hc + j);
  }
  constexpr float kNoNorm[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  ptx::Store(out + i, Collapse<hc>(in, weight, 1, kNoNorm));
}

template <class Args>
Rows StreamRows(const Args& a) {
  const MhcStreams s = StreamsOf(a);
  return {static_cast<const uint4*>(s.data), s.token / 8, s.stream / 8};
}

unsigned Blocks(std::int64_t words) {
  return static_cast<unsigned>((words + kThreads - 1) / kThreads);
}

}  // namespace

void MhcPost(const MhcPostArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const std::int64_t words = a.tokens * a.hidden / 8;
  WithStreams(a.hc, [&]<int hc>() {
    Post<hc><<<Blocks(words), kThreads, 0, static_cast<cudaStream_t>(exec.stream)>>>(
        {static_cast<const uint4*>(a.x), (a.layout.x == 0 ? a.hidden : a.layout.x) / 8},
        StreamRows(a), a.post, a.comb, static_cast<uint4*>(a.out), words, a.hidden / 8);
  });
}

void MhcCollapse(const MhcCollapseArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  const std::int64_t words = a.tokens * a.hidden / 8;
  WithStreams(a.hc, [&]<int hc>() {
    CollapseStreams<hc><<<Blocks(words), kThreads, 0, static_cast<cudaStream_t>(exec.stream)>>>(
        StreamRows(a), a.pre, static_cast<uint4*>(a.out), words, a.hidden / 8);
  });
}

}  // namespace birkhoff::cuda::sm80
