#include "harness/verify.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/thread_pool.h"

namespace birkhoff::harness {

namespace {

constexpr std::size_t kMaxListed = 12;  // kernels in a message: those of one op

struct Job {
  const Suite* suite = nullptr;
  int kernel = 0;
  std::vector<int> cases = {};
};

std::vector<Job> Jobs(const VerifyOptions& options) {
  std::vector<Job> jobs;
  for (const std::unique_ptr<Suite>& suite : AllSuites()) {
    if (!Matches(suite->op(), options.op)) continue;
    std::vector<int> cases;
    for (int c = 0; c < suite->cases(); ++c) {
      if (Matches(suite->case_name(c), options.case_name)) cases.push_back(c);
    }
    if (cases.empty()) continue;
    for (int k = 0; k < suite->kernels(); ++k) {
      if (Matches(suite->kernel_name(k), options.kernel)) jobs.push_back({suite.get(), k, cases});
    }
  }
  return jobs;
}

Status NothingMatches(const VerifyOptions& options) {
  std::vector<std::string_view> ops;
  std::vector<std::string_view> kernels;
  for (const std::unique_ptr<Suite>& suite : AllSuites()) {
    ops.push_back(suite->op());
    if (!Matches(suite->op(), options.op)) continue;
    for (int k = 0; k < suite->kernels(); ++k) kernels.push_back(suite->kernel_name(k));
  }
  if (kernels.empty()) {
    return Status::NotFound(
        fmt::format("no op matches '{}'; ops: {}", options.op, fmt::join(ops, " ")));
  }
  std::string message = fmt::format("nothing matches op '{}', kernel '{}', case '{}'", options.op,
                                    options.kernel, options.case_name);
  if (kernels.size() <= kMaxListed) {
    message += fmt::format("; kernels: {}", fmt::join(kernels, " "));
  }
  return Status::NotFound(std::move(message));
}

void Add(KernelOutcome& sum, const CaseOutcome& outcome) {
  if (!outcome.refusal.empty()) {
    if (sum.refused++ == 0) sum.refusal = outcome.refusal;
    return;
  }
  ++sum.cases;
  if (!outcome.check.ok) ++sum.failed;
  sum.worst = std::max(sum.worst, outcome.check.worst);
}

}  // namespace

bool Matches(std::string_view name, const std::string& pattern) {
  return name == pattern || fnmatch(pattern.c_str(), std::string(name).c_str(), 0) == 0;
}

Result<std::vector<KernelOutcome>> VerifyOps(const VerifyOptions& options, const OnCase& on_case) {
  const std::vector<Job> jobs = Jobs(options);
  if (jobs.empty()) return NothingMatches(options);
  int total = 0;
  for (const Job& job : jobs) total += static_cast<int>(job.cases.size());

  ThreadPool pool(options.threads);
  std::vector<KernelOutcome> sums;
  int done = 0;
  for (const Job& job : jobs) {
    KernelOutcome sum = {.op = std::string(job.suite->op()),
                         .kernel = std::string(job.suite->kernel_name(job.kernel))};
    for (int c : job.cases) {
      CaseOutcome outcome = {
          .op = sum.op, .kernel = sum.kernel, .case_name = job.suite->case_name(c)};
      outcome.refusal = job.suite->Refuses(c, job.kernel, options.device).why();
      if (outcome.refusal.empty()) outcome.check = job.suite->Check(c, job.kernel, pool);
      Add(sum, outcome);
      if (on_case) on_case(outcome, ++done, total);
    }
    sums.push_back(std::move(sum));
  }
  return sums;
}

std::string RerunFlags(const CaseOutcome& outcome) {
  return fmt::format("--op {} --kernel {} --case '{}'", outcome.op, outcome.kernel,
                     outcome.case_name);
}

}  // namespace birkhoff::harness
