#include "dispatch/kernel.h"

namespace birkhoff {

Refusal NeedsIsa(CpuIsa needed, const Device& device) {
  if (device.isa >= needed) return {};
  return Refusal("needs " + std::string(Name(needed)) + ", device is " +
                 std::string(Name(device.isa)));
}

Refusal NeedsBuiltGpu(const Device& device) {
  if (device.sm / 10 == 8 || device.sm == 90) return {};
  return Refusal("needs compute capability 8.x or 9.0, " + device.gpu + " has " +
                 std::to_string(device.sm / 10) + "." + std::to_string(device.sm % 10));
}

Refusal WrongDevice(DeviceKind needed, const Device& device) {
  if (device.kind == needed) return {};
  if (needed == DeviceKind::kCpu) return Refusal("runs on the CPU, the data are on the GPU");
  const GpuLookup& gpu = FirstGpu();
  return Refusal(gpu.device == nullptr ? gpu.why_not : "runs on the GPU, the data are on the CPU");
}

}  // namespace birkhoff
