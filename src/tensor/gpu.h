// The first GPU as the host sees it: memory, completion, time. Where no GPU backend is built in, or
// none is found, everything answers kUnsupported with the reason.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "birkhoff/status.h"

namespace birkhoff {

// Movable owner of GPU memory, aligned to 256 bytes.
class GpuMemory {
 public:
  GpuMemory() = default;
  GpuMemory(GpuMemory&& other) noexcept;
  GpuMemory& operator=(GpuMemory&& other) noexcept;
  ~GpuMemory();

  // Errors  kOutOfRange  the GPU has not that much left; names the size.
  static Result<GpuMemory> Make(std::size_t bytes);

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Copies between host and GPU, done on return.
Status CopyToGpu(std::span<const std::byte> from, std::byte* to);
Status CopyFromGpu(const std::byte* from, std::span<std::byte> to);

// Does not wait. The first error of a launch of this thread since the last call.
Status GpuLaunched();

// Waits until everything enqueued is done. The first error since the last call, also of a launch.
Status GpuWait();

struct GraphTimes {
  std::vector<double> us = {};  // of each replay
  std::size_t launches = 0;     // nodes of the graph
};

// Times of `replays` replays of what `enqueue` puts on the stream it is given, captured once as a
// graph.
Result<GraphTimes> TimeGraph(FunctionRef<void(void* stream)> enqueue, int replays);

// Bytes per second, read plus written, of copying a gigabyte within the GPU's memory.
Result<double> GpuCopyBandwidth();

}  // namespace birkhoff
