// FirstGpu() where CUDA is built in. The runtime is linked statically and finds the driver itself.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "birkhoff/device.h"

namespace birkhoff {
namespace {

GpuLookup Detect() {
  static Device device;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) return {nullptr, "no CUDA driver"};
  if (error != cudaSuccess || count == 0)
    return {nullptr, error == cudaSuccess || error == cudaErrorNoDevice
                         ? "no GPU"
                         : fmt::format("no GPU: {}", cudaGetErrorString(error))};
  cudaDeviceProp p;
  if (const cudaError_t e = cudaGetDeviceProperties(&p, 0); e != cudaSuccess)
    return {nullptr, fmt::format("no GPU: {}", cudaGetErrorString(e))};
  device.kind = DeviceKind::kGpu;
  device.memory_bytes = static_cast<std::int64_t>(p.totalGlobalMem);
  device.gpu = p.name;
  device.sm = 10 * p.major + p.minor;
  device.multiprocessors = p.multiProcessorCount;
  device.shared_bytes = static_cast<std::int64_t>(p.sharedMemPerBlockOptin);
  return {&device, {}};
}

}  // namespace

const GpuLookup& FirstGpu() {
  static const GpuLookup lookup = Detect();
  return lookup;
}

}  // namespace birkhoff
