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

struct Device {
  CpuIsa isa = CpuIsa::kGeneric;  // the strongest that CPU and operating system support
  std::string cpu = {};           // "Intel(R) Xeon(R) Processor", empty when unknown
  int cpus = 1;                   // CPUs that this process may use: affinity mask and cgroup quota
  std::int64_t memory_bytes = 0;  // physical memory, 0 when unknown
};

// Looks once; later calls return the same object.
const Device& HostDevice();

}  // namespace birkhoff
