#include <algorithm>

#include "harness/suite.h"

namespace birkhoff::harness {

std::span<const std::unique_ptr<Suite>> AllSuites() {
  static const std::vector<std::unique_ptr<Suite>> all = [] {
    std::vector<std::unique_ptr<Suite>> suites;
    AddAttentionSuites(suites);
    AddElementwiseSuites(suites);
    AddFp8Suites(suites);
    AddGqaSuites(suites);
    AddLinearSuites(suites);
    AddMhcFusedSuites(suites);
    AddMhcSuites(suites);
    AddMoeSuites(suites);
    AddNormRopeSuites(suites);
    AddRopeSuites(suites);
    std::sort(suites.begin(), suites.end(),
              [](const auto& a, const auto& b) { return a->op() < b->op(); });
    return suites;
  }();
  return all;
}

}  // namespace birkhoff::harness
