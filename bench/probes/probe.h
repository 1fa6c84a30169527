// What the probes share: checked calls and times.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                                       \
  do {                                                                                    \
    const cudaError_t e = (call);                                                         \
    if (e != cudaSuccess) {                                                               \
      std::fprintf(stderr, "%s: %s (line %d)\n", #call, cudaGetErrorString(e), __LINE__); \
      std::exit(1);                                                                       \
    }                                                                                     \
  } while (0)

// Microseconds of `times` runs of body() after two to warm up, timed with events and sorted.
template <class F>
std::vector<double> SortedMicroseconds(cudaStream_t stream, int times, F body) {
  cudaEvent_t begin, end;
  CHECK(cudaEventCreate(&begin));
  CHECK(cudaEventCreate(&end));
  std::vector<double> us;
  for (int i = 0; i < times + 2; ++i) {
    CHECK(cudaEventRecord(begin, stream));
    body();
    CHECK(cudaEventRecord(end, stream));
    CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) us.push_back(1e3 * static_cast<double>(ms));
  }
  CHECK(cudaEventDestroy(begin));
  CHECK(cudaEventDestroy(end));
  std::sort(us.begin(), us.end());
  return us;
}

// The same for replays of what enqueue() captures.
template <class F>
std::vector<double> SortedReplays(cudaStream_t stream, int times, F enqueue) {
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue();
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec;
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  auto us = SortedMicroseconds(stream, times, [&] { CHECK(cudaGraphLaunch(exec, stream)); });
  CHECK(cudaGraphExecDestroy(exec));
  CHECK(cudaGraphDestroy(graph));
  return us;
}

// GB/s, read plus written, of cudaMemcpy within the device.
inline double CopyBandwidth(cudaStream_t stream) {
  constexpr std::size_t bytes = std::size_t{1} << 30;
  char *from, *to;
  CHECK(cudaMalloc(&from, bytes));
  CHECK(cudaMalloc(&to, bytes));
  CHECK(cudaMemset(from, 0x5a, bytes));
  const auto us = SortedMicroseconds(stream, 9, [&] {
    CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream));
  });
  CHECK(cudaFree(from));
  CHECK(cudaFree(to));
  return 2.0 * bytes / us[us.size() / 2] / 1e3;
}
