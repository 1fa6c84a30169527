// What every kernel of every op owes, over the whole case list: its bound against the definition,
// the bits of its class, and the same bits whatever the number of threads.
#include <gtest/gtest.h>

#include <map>

#include "harness/suite.h"

namespace birkhoff::harness {
namespace {

class EveryOp : public testing::TestWithParam<const Suite*> {
 protected:
  const Suite& suite() const { return *GetParam(); }

  // Calls f(case, kernel) for every pair that is not refused here
  template <class F>
  void ForEach(F f) {
    for (int c = 0; c < suite().cases(); ++c) {
      for (int k = 0; k < suite().kernels(); ++k) {
        if (suite().Refuses(c, k, HostDevice())) continue;
        SCOPED_TRACE(std::string(suite().kernel_name(k)) + " on " + suite().case_name(c));
        f(c, k);
      }
    }
  }

  ThreadPool one_{1};
};

TEST_P(EveryOp, KeepsItsBound) {
  ForEach([&](int c, int k) {
    const CheckResult result = suite().Check(c, k, one_);
    EXPECT_TRUE(result.ok) << result.detail;
  });
}

TEST_P(EveryOp, GivesTheBitsOfItsClass) {
  std::map<std::pair<int, std::string_view>, std::vector<std::byte>> first;
  ForEach([&](int c, int k) {
    const std::vector<std::byte> bits = suite().Bits(c, k, one_);
    EXPECT_TRUE(first.try_emplace({c, suite().bits(k)}, bits).first->second == bits);
  });
}

TEST_P(EveryOp, GivesTheSameBitsOnAnyNumberOfThreads) {
  ThreadPool two(2);
  ThreadPool three(3);
  ForEach([&](int c, int k) {
    // The definition and a GPU know no threads, and size adds nothing here.
    if (k + 1 == suite().kernels() || suite().device(k) == DeviceKind::kGpu || suite().is_bench(c))
      return;
    const std::vector<std::byte> bits = suite().Bits(c, k, one_);
    EXPECT_TRUE(bits == suite().Bits(c, k, two));
    EXPECT_TRUE(bits == suite().Bits(c, k, three));
  });
}

std::vector<const Suite*> Suites() {
  std::vector<const Suite*> suites;
  for (const auto& suite : AllSuites()) suites.push_back(suite.get());
  return suites;
}

INSTANTIATE_TEST_SUITE_P(, EveryOp, testing::ValuesIn(Suites()),
                         [](const auto& test) { return std::string(test.param->op()); });

}  // namespace
}  // namespace birkhoff::harness
