// Every kernel against the definition of its op, over the case lists: what `birkhoff verify` runs.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/status.h"
#include "harness/suite.h"

namespace birkhoff::harness {

// Patterns with * and ?; a name that equals its pattern always matches.
bool Matches(std::string_view name, const std::string& pattern);

struct VerifyOptions {
  std::string op = "*";
  std::string kernel = "*";
  std::string case_name = "*";
  Device device = {};
  int threads = 0;
};

// One case on one kernel.
struct CaseOutcome {
  std::string op = {};
  std::string kernel = {};
  std::string case_name = {};
  std::string refusal = {};  // not empty: the kernel did not run
  CheckResult check = {};
};

// One kernel over all its cases.
struct KernelOutcome {
  std::string op = {};
  std::string kernel = {};
  int cases = 0;  // that ran
  int failed = 0;
  int refused = 0;
  std::string refusal = {};  // the first reason
  double worst = 0;          // largest error / bound
};

// Runs what matches, in the order of ops, kernels and cases. on_case, if given, is told of each
// outcome and how far along the run is.
//
// Errors   kNotFound  nothing matches; the message lists what there is
using OnCase = std::function<void(const CaseOutcome& outcome, int done, int total)>;
Result<std::vector<KernelOutcome>> VerifyOps(const VerifyOptions& options, const OnCase& on_case);

// What a command line needs to run this one case again.
std::string RerunFlags(const CaseOutcome& outcome);

}  // namespace birkhoff::harness
