#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace birkhoff {
namespace {

class Pool : public testing::TestWithParam<int> {
 protected:
  ThreadPool pool_{GetParam()};
};

TEST_P(Pool, HasTheSizeAskedFor) { EXPECT_EQ(pool_.size(), GetParam()); }

TEST_P(Pool, CoversTheRangeOnceInPiecesOfTheGrain) {
  for (const std::int64_t n : {1, 2, 7, 64, 1000}) {
    for (const std::int64_t grain : {1, 3, 64, 2000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      std::atomic<int> too_large = 0;
      pool_.ParallelFor(n, grain, [&](std::int64_t begin, std::int64_t end, int) {
        too_large += end - begin > grain;
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      EXPECT_EQ(too_large, 0);
      for (const auto& count : seen) EXPECT_EQ(count, 1) << "n=" << n << " grain=" << grain;
    }
  }
}

TEST_P(Pool, NeverRunsAWorkerTwiceAtATime) {
  std::vector<std::atomic<int>> running(static_cast<std::size_t>(pool_.size()));
  std::atomic<int> wrong = 0;
  for (int repeat = 0; repeat < 30; ++repeat) {
    pool_.ParallelFor(32, 1, [&](std::int64_t, std::int64_t, int worker) {
      if (worker < 0 || worker >= pool_.size()) {
        ++wrong;
        return;
      }
      auto& mine = running[static_cast<std::size_t>(worker)];
      wrong += mine.fetch_add(1) != 0;
      mine.fetch_sub(1);
    });
  }
  EXPECT_EQ(wrong, 0);
}

// What a body wrote is visible to the caller, call after call.
TEST_P(Pool, FinishesBeforeItReturns) {
  std::vector<std::int64_t> values(50);
  for (std::int64_t repeat = 1; repeat <= 200; ++repeat) {
    pool_.ParallelFor(50, 7, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] = repeat * i;
    });
    for (std::int64_t i = 0; i < 50; ++i) {
      ASSERT_EQ(values[static_cast<std::size_t>(i)], repeat * i);
    }
  }
}

TEST_P(Pool, DoesNothingForAnEmptyRange) {
  bool called = false;
  pool_.ParallelFor(0, 1, [&](std::int64_t, std::int64_t, int) { called = true; });
  EXPECT_FALSE(called);
}

// Ten times as long as a worker spins.
constexpr std::chrono::milliseconds kUntilAsleep{2};

TEST_P(Pool, WakesSleepers) {
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::this_thread::sleep_for(kUntilAsleep);
    std::atomic<std::int64_t> sum = 0;
    pool_.ParallelFor(40, 1, [&](std::int64_t begin, std::int64_t, int) { sum += begin; });
    ASSERT_EQ(sum, 780);
  }
}

TEST_P(Pool, EndsWhileWorkersSleep) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    ThreadPool pool(GetParam());
    if (repeat % 2 == 0) pool.ParallelFor(8, 1, [](std::int64_t, std::int64_t, int) {});
    std::this_thread::sleep_for(kUntilAsleep);
  }
}

INSTANTIATE_TEST_SUITE_P(, Pool, testing::Values(1, 2, 3));

TEST(ThreadPool, TakesTheCpusOfTheProcessByDefault) { EXPECT_GE(ThreadPool().size(), 1); }

TEST(ThreadPool, RunsASmallRangeOnTheCaller) {
  ThreadPool pool(3);
  const std::thread::id caller = std::this_thread::get_id();
  pool.ParallelFor(4, 4, [&](std::int64_t, std::int64_t, int worker) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(worker, 0);
  });
}

}  // namespace
}  // namespace birkhoff
