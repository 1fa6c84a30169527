// What this process found to run on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace birkhoff {

// Instruction sets that CPU kernels are built for, weakest first.
enum class CpuIsa : std::uint8_t {
  kGeneric,  // any machine; scalar fused multiply-adds, slow
  kAvx2,     // AVX2, FMA, F16C
  kAvx512,   // the AVX2 set and AVX-512 F, BW, DQ, VL
};

std::string_view Name(CpuIsa isa);

enum class DeviceKind : std::uint8_t { kCpu, kGpu };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  std::int64_t memory_bytes = 0;  // of the machine or the GPU, 0 when unknown

  // kCpu
  CpuIsa isa = CpuIsa::kGeneric;  // the strongest that CPU and operating system support
  std::string cpu = {};           // "Intel(R) Xeon(R) Processor", empty when unknown
  int cpus = 1;                   // CPUs that this process may use: affinity mask and cgroup quota

  // kGpu
  std::string gpu = {};  // "NVIDIA H200"
  int sm = 0;            // compute capability: 90 is 9.0
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  // shared memory of a block, at most
};

// The CPU. Looks once; later calls return the same object.
const Device& HostDevice();

struct GpuLookup {
  const Device* device = nullptr;  // the first GPU, or null
  std::string why_not = {};        // then: "built without CUDA", "no CUDA driver", "no GPU"
};

// Looks once; later calls return the same object.
const GpuLookup& FirstGpu();

}  // namespace birkhoff
