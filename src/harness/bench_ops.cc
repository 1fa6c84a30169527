#include "harness/bench_ops.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "birkhoff/bandwidth.h"
#include "harness/peers.h"
#include "harness/verify.h"
#include "tensor/gpu.h"

namespace birkhoff::harness {
namespace {

// Measured when the first kernel of a device comes up.
class Ceilings {
 public:
  explicit Ceilings(int threads) : threads_(threads) {}

  Result<double> GbPerSecond(DeviceKind kind) {
    if (kind == DeviceKind::kCpu) {
      if (cpu_ == 0) cpu_ = MeasureReadBandwidth(threads_);
      return cpu_;
    }
    if (gpu_ == 0) {
      BK_ASSIGN_OR_RETURN(const double bytes, GpuCopyBandwidth());
      gpu_ = bytes / 1e9;
    }
    return gpu_;
  }

 private:
  int threads_ = 1;
  double cpu_ = 0;
  double gpu_ = 0;
};

}  // namespace

Status BenchOps(const BenchOpsOptions& options,
                const std::function<void(const OpTiming& timing)>& on_timing) {
  ThreadPool pool(options.threads);
  Ceilings ceilings(pool.size());
  bool any = false;
  for (const std::unique_ptr<Suite>& suite : AllSuites()) {
    if (!Matches(suite->op(), options.op)) continue;
    for (int c = 0; c < suite->bench_cases(); ++c) {
      if (suite->is_dense(c) && !options.dense) continue;
      if (!suite->is_bench(c) || !Matches(suite->case_name(c), options.case_name)) continue;
      for (int k = 0; k < suite->kernels(); ++k) {
        if (!Matches(suite->kernel_name(k), options.kernel)) continue;
        // GPU rows have cases of their own, where a suite has any.
        const bool has_own = suite->bench_cases() > suite->cases();
        if (has_own && (c >= suite->cases()) != (suite->device(k) == DeviceKind::kGpu)) continue;
        if (suite->Refuses(c, k, options.device)) continue;
        any = true;
        const TimeResult time = suite->Time(c, k, pool, options.seconds);
        if (!time.error.empty()) return Status::Internal(time.error);
        const DeviceKind kind = suite->device(k);
        BK_ASSIGN_OR_RETURN(const double ceiling, ceilings.GbPerSecond(kind));
        OpTiming timing = {.op = std::string(suite->op()),
                           .kernel = std::string(suite->kernel_name(k)),
                           .case_name = suite->case_name(c),
                           .time = time,
                           .dims = suite->dims(c),
                           .kind = kind,
                           .device = options.device.cpu,
                           .ceiling_gb_per_s = ceiling};
        if (kind == DeviceKind::kGpu) {
          timing.device = FirstGpu().device->gpu;
          timing.chained = suite->is_chained();
          timing.peer = BestPeer(suite->op(), timing.device, suite->dims(c));
        }
        on_timing(timing);
      }
    }
  }
  if (any) return Status::Ok();
  return Status::NotFound(fmt::format("no benchmark matches op '{}', kernel '{}', case '{}'",
                                      options.op, options.kernel, options.case_name));
}

}  // namespace birkhoff::harness
