// tensor/gpu.h where no GPU backend is built in.
#include "birkhoff/device.h"
#include "tensor/gpu.h"

namespace birkhoff {
namespace {

Status Absent() { return Status::Unsupported(FirstGpu().why_not); }

}  // namespace

GpuMemory::GpuMemory(GpuMemory&&) noexcept = default;
GpuMemory& GpuMemory::operator=(GpuMemory&&) noexcept = default;
GpuMemory::~GpuMemory() = default;
Result<GpuMemory> GpuMemory::Make(std::size_t) { return Absent(); }
Status CopyToGpu(std::span<const std::byte>, std::byte*) { return Absent(); }
Status CopyFromGpu(const std::byte*, std::span<std::byte>) { return Absent(); }
Status GpuLaunched() { return Absent(); }
Status GpuWait() { return Absent(); }
Result<GraphTimes> TimeGraph(FunctionRef<void(void*)>, int) { return Absent(); }
Result<double> GpuCopyBandwidth() { return Absent(); }

}  // namespace birkhoff
