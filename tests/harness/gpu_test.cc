// GPU rows: what they are held to is in all_ops_test.cc; here, that they are not quietly left out.
#include <gtest/gtest.h>

#include <map>

#include "harness/suite.h"

namespace birkhoff::harness {
namespace {

// Calls f(suite, kernel) for every GPU row.
template <class F>
void ForGpuRows(F f) {
  for (const auto& suite : AllSuites()) {
    for (int k = 0; k < suite->kernels(); ++k) {
      if (suite->device(k) != DeviceKind::kGpu) continue;
      SCOPED_TRACE(std::string(suite->kernel_name(k)));
      f(*suite, k);
    }
  }
}

TEST(Gpu, TheseOpsHaveAPortableKernel) {
  std::vector<std::string> ops;
  ForGpuRows([&](const Suite& suite, int k) {
    if (suite.kernel_name(k).starts_with("gpu/")) ops.emplace_back(suite.op());
  });
  EXPECT_EQ(ops, (std::vector<std::string>{"dual_rms_norm", "mhc_boundary", "mhc_boundary_shifted",
                                           "mhc_coeffs", "mhc_collapse", "mhc_head", "mhc_post",
                                           "mhc_tail", "norm_rope", "norm_rope_write", "quantise",
                                           "rms_norm", "rms_norm_quantise", "rope", "rope_write",
                                           "swiglu_quantise"}));
}

TEST(Gpu, WithoutOneTheRowsSayWhy) {
  if (FirstGpu().device != nullptr) GTEST_SKIP() << "there is a GPU: " << FirstGpu().device->gpu;
  EXPECT_FALSE(FirstGpu().why_not.empty());
  ForGpuRows([&](const Suite& suite, int k) {
    EXPECT_EQ(suite.Refuses(0, k, HostDevice()).why(), FirstGpu().why_not);
  });
}

TEST(Gpu, PortableRowsTakeEveryCase) {
  if (FirstGpu().device == nullptr) GTEST_SKIP() << FirstGpu().why_not;
  ForGpuRows([&](const Suite& suite, int k) {
    if (!suite.kernel_name(k).starts_with("gpu/")) return;
    for (int c = 0; c < suite.cases(); ++c) {
      EXPECT_EQ(suite.Refuses(c, k, HostDevice()).why(), "");
    }
  });
}

// Every T up to 256, at each width, once: dense or not. FP8 has fewer, and a third extent.
TEST(Gpu, DenseBenchmarksHaveNoGaps) {
  for (const auto& suite : AllSuites()) {
    if (suite->op() != "mhc_boundary") continue;
    std::map<std::int64_t, int> cases;
    for (int c = suite->cases(); c < suite->bench_cases(); ++c) {
      if (suite->dims(c).size() > 2) continue;
      const std::int64_t tokens = suite->dims(c)[1].second;
      if (tokens <= 256) ++cases[tokens];
      EXPECT_TRUE(tokens <= 256 || !suite->is_dense(c)) << tokens;
    }
    EXPECT_EQ(cases.size(), 256U);
    for (const auto& [tokens, count] : cases) EXPECT_EQ(count, 3) << tokens;
  }
}

TEST(Gpu, CpuRowsLeaveItsMemoryAlone) {
  Device gpu;
  gpu.kind = DeviceKind::kGpu;
  for (const auto& suite : AllSuites()) {
    for (int k = 0; k < suite->kernels(); ++k) {
      if (suite->device(k) == DeviceKind::kGpu) continue;
      EXPECT_EQ(suite->Refuses(0, k, gpu).why(), "runs on the CPU, the data are on the GPU");
    }
  }
}

}  // namespace
}  // namespace birkhoff::harness
