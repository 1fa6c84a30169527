// The time of every kernel on the benchmark cases of its op: what `birkhoff bench ops` runs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/status.h"
#include "harness/peers.h"
#include "harness/suite.h"

namespace birkhoff::harness {

struct BenchOpsOptions {
  std::string op = "*";  // patterns as in verify.h
  std::string kernel = "*";
  std::string case_name = "*";
  Device device = {};
  int threads = 0;
  double seconds = 0.2;  // for each kernel and case
  bool dense = false;    // every extent of a range too, where a suite has such cases
};

struct OpTiming {
  std::string op = {};
  std::string kernel = {};
  std::string case_name = {};
  TimeResult time = {};
  std::vector<std::pair<std::string, std::int64_t>> dims = {};
  DeviceKind kind = DeviceKind::kCpu;
  // What the kernel runs on, and what its memory reaches: read bandwidth of a CPU with the threads
  // of this run, copy bandwidth of a GPU.
  std::string device = {};
  double ceiling_gb_per_s = 0;
  bool chained = false;           // each run read what the one before it wrote, else its own data
  std::optional<Peer> peer = {};  // the best of other systems on such a device

  // What the bytes that must move take at the ceiling.
  double floor_us() const { return time.bytes / ceiling_gb_per_s / 1e3; }
};

// Tells on_timing of every kernel that does not refuse, in the order of ops, cases and kernels.
//
// Errors   kNotFound  nothing matches
Status BenchOps(const BenchOpsOptions& options,
                const std::function<void(const OpTiming& timing)>& on_timing);

}  // namespace birkhoff::harness
