// What a step may not do: allocate, open a file, read the environment.
#include <cstdlib>
#include <fstream>

#include "tests/graph/counting_new.h"
#include "tests/runtime/counting_reads.h"
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

struct Counts {
  std::int64_t allocations = AllocationCount();
  std::int64_t reads = OutsideReadCount();
  bool operator==(const Counts&) const = default;
};

TEST(Steps, TheCountersCount) {
  const Counts before;
  std::ifstream("/proc/self/stat");
  EXPECT_GT(OutsideReadCount(), before.reads);
  const std::int64_t reads = OutsideReadCount();
  EXPECT_NE(std::getenv("PATH"), nullptr);
  EXPECT_GT(OutsideReadCount(), reads);
  EXPECT_GT(AllocationCount(), before.allocations);
}

TEST(Steps, AllocateAndReadNothingOnceWarm) {
  for (const Precision precision : {Precision::kBF16, Precision::kF32}) {
    const auto engine = LoadTinyV4({.precision = precision, .threads = 2, .max_sessions = 2});
    auto a = engine->NewSession();
    auto b = engine->NewSession();
    ASSERT_TRUE(a.ok() && b.ok());
    const std::vector<std::int32_t> ids = Golden().Ids(9);
    const auto step = [&](std::size_t t) {
      StepItem items[] = {{.session = &*a, .tokens = std::span(ids).subspan(t, 1)},
                          {.session = &*b, .tokens = std::span(ids).subspan(t, 2)}};
      return engine->Step(items).ok();
    };
    ASSERT_TRUE(step(0));
    const Counts before;
    bool all = true;
    for (std::size_t t = 1; t < 140; ++t) all &= step(t);  // closes entries of every ratio
    EXPECT_EQ(AllocationCount(), before.allocations);
    EXPECT_EQ(OutsideReadCount(), before.reads);
    EXPECT_TRUE(all);
  }
}

TEST(Steps, GenerationAllocatesAndReadsNothingPerToken) {
  const auto engine = LoadTinyV4({.threads = 2});
  for (const bool speculate : {false, true}) {
    auto session = engine->NewSession();
    ASSERT_TRUE(session.ok());
    Counts warm;
    Counts last;
    int tokens = 0;
    const auto stats = engine->Generate(
        *session, Golden().Ids(0), {.max_tokens = 80, .ignore_eos = true, .speculate = speculate},
        [&](std::int32_t) {
          last = {};
          if (++tokens == 4) warm = last;
          return true;
        });
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(last.allocations, warm.allocations) << (speculate ? "with" : "without") << " drafts";
    EXPECT_EQ(last.reads, warm.reads);
  }
}

}  // namespace
}  // namespace birkhoff
