// tensor/gpu.h by the CUDA runtime.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "birkhoff/device.h"
#include "tensor/gpu.h"

namespace birkhoff {
namespace {

Status FromCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return Status::Ok();
  const std::string text = fmt::format("{}: {}", what, cudaGetErrorString(error));
  if (error == cudaErrorMemoryAllocation) return Status::OutOfRange(text);
  return Status::Internal(text);
}

#define BK_RETURN_IF_CUDA_FAILS(call) BK_RETURN_IF_ERROR(FromCuda((call), #call))

// Owners, so that every way out of TimeGraph gives back what it made.
struct Destroy {
  void operator()(cudaStream_t s) const { cudaStreamDestroy(s); }
  void operator()(cudaGraph_t g) const { cudaGraphDestroy(g); }
  void operator()(cudaGraphExec_t g) const { cudaGraphExecDestroy(g); }
  void operator()(cudaEvent_t e) const { cudaEventDestroy(e); }
};
template <class Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy>;

Status NeedGpu() {
  if (FirstGpu().device != nullptr) return Status::Ok();
  return Status::Unsupported(FirstGpu().why_not);
}

// Microseconds of each of `times` calls of enqueue() after two to warm up.
template <class F>
Result<std::vector<double>> TimeOnStream(cudaStream_t stream, F enqueue, int times) {
  cudaEvent_t begin = nullptr;
  BK_RETURN_IF_CUDA_FAILS(cudaEventCreate(&begin));
  const Owned<cudaEvent_t> begin_owner(begin);
  cudaEvent_t end = nullptr;
  BK_RETURN_IF_CUDA_FAILS(cudaEventCreate(&end));
  const Owned<cudaEvent_t> end_owner(end);

  std::vector<double> us;
  for (int i = -2; i < times; ++i) {  // two to warm up
    BK_RETURN_IF_CUDA_FAILS(cudaEventRecord(begin, stream));
    BK_RETURN_IF_CUDA_FAILS(enqueue());
    BK_RETURN_IF_CUDA_FAILS(cudaEventRecord(end, stream));
    BK_RETURN_IF_CUDA_FAILS(cudaEventSynchronize(end));
    float ms = 0;
    BK_RETURN_IF_CUDA_FAILS(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 0) us.push_back(1e3 * static_cast<double>(ms));
  }
  return us;
}

}  // namespace

GpuMemory::GpuMemory(GpuMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

GpuMemory& GpuMemory::operator=(GpuMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

GpuMemory::~GpuMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

Result<GpuMemory> GpuMemory::Make(std::size_t bytes) {
  BK_RETURN_IF_ERROR(NeedGpu());
  GpuMemory m;
  if (bytes == 0) return m;
  void* p = nullptr;
  if (const cudaError_t error = cudaMalloc(&p, bytes); error != cudaSuccess) {
    (void)cudaGetLastError();
    return FromCuda(
        error,
        fmt::format("{:.2f} GiB of GPU memory", static_cast<double>(bytes) / (1 << 30)).c_str());
  }
  m.data_ = static_cast<std::byte*>(p);
  m.size_ = bytes;
  return m;
}

Status CopyToGpu(std::span<const std::byte> from, std::byte* to) {
  BK_RETURN_IF_CUDA_FAILS(cudaMemcpy(to, from.data(), from.size(), cudaMemcpyHostToDevice));
  // From pageable memory the copy may still be on its way when that returns.
  return FromCuda(cudaStreamSynchronize(nullptr), "copy to GPU");
}

Status CopyFromGpu(const std::byte* from, std::span<std::byte> to) {
  return FromCuda(cudaMemcpy(to.data(), from, to.size(), cudaMemcpyDeviceToHost), "copy from GPU");
}

Status GpuLaunched() { return FromCuda(cudaGetLastError(), "launch"); }

Status GpuWait() {
  BK_RETURN_IF_ERROR(NeedGpu());
  BK_RETURN_IF_CUDA_FAILS(cudaGetLastError());
  BK_RETURN_IF_CUDA_FAILS(cudaDeviceSynchronize());
  return Status::Ok();
}

Result<GraphTimes> TimeGraph(FunctionRef<void(void* stream)> enqueue, int replays) {
  BK_RETURN_IF_ERROR(NeedGpu());
  cudaStream_t stream = nullptr;
  BK_RETURN_IF_CUDA_FAILS(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const Owned<cudaStream_t> stream_owner(stream);
  BK_RETURN_IF_CUDA_FAILS(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue(stream);
  const cudaError_t launched = cudaGetLastError();
  cudaGraph_t graph = nullptr;
  const cudaError_t captured = cudaStreamEndCapture(stream, &graph);
  const Owned<cudaGraph_t> graph_owner(graph);
  BK_RETURN_IF_ERROR(FromCuda(launched, "launch"));
  BK_RETURN_IF_ERROR(FromCuda(captured, "capture"));
  cudaGraphExec_t exec = nullptr;
  BK_RETURN_IF_CUDA_FAILS(cudaGraphInstantiate(&exec, graph, 0));
  const Owned<cudaGraphExec_t> exec_owner(exec);
  GraphTimes times;
  BK_RETURN_IF_CUDA_FAILS(cudaGraphGetNodes(graph, nullptr, &times.launches));
  BK_ASSIGN_OR_RETURN(times.us,
                      TimeOnStream(
                          stream, [&] { return cudaGraphLaunch(exec, stream); }, replays));
  return times;
}

Result<double> GpuCopyBandwidth() {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  BK_ASSIGN_OR_RETURN(const GpuMemory from, GpuMemory::Make(kBytes));
  BK_ASSIGN_OR_RETURN(const GpuMemory to, GpuMemory::Make(kBytes));
  BK_RETURN_IF_CUDA_FAILS(cudaMemset(from.data(), 0x5a, kBytes));
  BK_RETURN_IF_CUDA_FAILS(cudaDeviceSynchronize());
  // On a stream: as a node of a graph the same copy reached 2.75 in place of 4.26 TB/s on an H200.
  const auto copy = [&] {
    return cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, nullptr);
  };
  BK_ASSIGN_OR_RETURN(std::vector<double> us, TimeOnStream(nullptr, copy, 9));
  std::sort(us.begin(), us.end());
  return 2e6 * static_cast<double>(kBytes) / us[us.size() / 2];
}

}  // namespace birkhoff
