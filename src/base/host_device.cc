#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#include "birkhoff/device.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace birkhoff {
namespace {

#if defined(__x86_64__)
// The builtins of g++ 12 and clang 14 have no common name for it.
bool HasF16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

CpuIsa DetectIsa() {
#if defined(__x86_64__)
  // The builtin checks XCR0 too: an instruction set that the operating system does not save is not
  // reported.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !HasF16c()) {
    return CpuIsa::kGeneric;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return CpuIsa::kAvx512;
  }
  return CpuIsa::kAvx2;
#else
  return CpuIsa::kGeneric;
#endif
}

std::string CpuName() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t colon = line.find(": ");
    return colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  return "";
}

// CPUs granted by the quota of one cgroup, or a large number without one.
int QuotaCpus(const std::string& folder) {
  std::ifstream in(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::ceil(std::strtod(quota.c_str(), nullptr) / period)));
}

// The path of this process in the cgroup v2 hierarchy, "/a/b"; empty for the root or without v2.
std::string CgroupPath() {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0::/") && line.size() > 4) return line.substr(3);
  }
  return "";
}

// The tightest quota of the process's cgroup and all those around it.
int CgroupCpus() {
  const std::string root = "/sys/fs/cgroup";
  int cpus = QuotaCpus(root);
  for (std::string path = CgroupPath(); !path.empty(); path.erase(path.rfind('/'))) {
    cpus = std::min(cpus, QuotaCpus(root + path));
  }
  return cpus;
}

// CPUs in the affinity mask. The kernel refuses a set smaller than its own, whose size it does not
// tell.
int AffinityCpus() {
  for (int capacity = CPU_SETSIZE; capacity <= 1 << 20; capacity *= 2) {
    cpu_set_t* set = CPU_ALLOC(capacity);
    if (set == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(capacity);
    const bool known = sched_getaffinity(0, size, set) == 0;
    const bool too_small = !known && errno == EINVAL;
    const int cpus = known ? CPU_COUNT_S(size, set) : 1;
    CPU_FREE(set);
    if (!too_small) return cpus;
  }
  return 1;
}

int UsableCpus() { return std::max(1, std::min(AffinityCpus(), CgroupCpus())); }

Device Detect() {
  Device d;
  d.isa = DetectIsa();
  d.cpu = CpuName();
  d.cpus = UsableCpus();
  d.memory_bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  return d;
}

}  // namespace

std::string_view Name(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kGeneric: return "generic";
    case CpuIsa::kAvx2: return "avx2";
    case CpuIsa::kAvx512: return "avx512";
  }
  return "?";
}

const Device& HostDevice() {
  static const Device device = Detect();
  return device;
}

}  // namespace birkhoff
