#include "harness/bench_ops.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "harness/verify.h"

namespace birkhoff::harness {

Status BenchOps(const BenchOpsOptions& options,
                const std::function<void(const OpTiming& timing)>& on_timing) {
  ThreadPool pool(options.threads);
  bool any = false;
  for (const std::unique_ptr<Suite>& suite : AllSuites()) {
    if (!Matches(suite->op(), options.op)) continue;
    for (int c = 0; c < suite->cases(); ++c) {
      if (!suite->is_bench(c) || !Matches(suite->case_name(c), options.case_name)) continue;
      for (int k = 0; k < suite->kernels(); ++k) {
        if (!Matches(suite->kernel_name(k), options.kernel)) continue;
        if (suite->Refuses(c, k, options.device)) continue;
        any = true;
        on_timing({std::string(suite->op()), std::string(suite->kernel_name(k)),
                   suite->case_name(c), suite->Time(c, k, pool, options.seconds)});
      }
    }
  }
  if (any) return Status::Ok();
  return Status::NotFound(fmt::format("no benchmark matches op '{}', kernel '{}', case '{}'",
                                      options.op, options.kernel, options.case_name));
}

}  // namespace birkhoff::harness
