#include "models/value_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/thread_pool.h"

namespace birkhoff::models {
namespace {

TEST(FindNonFinite, KnowsEveryCodeOfSmallTypes) {
  for (unsigned code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    EXPECT_EQ(FindNonFinite(DType::kF8E4M3, &byte, 1, nullptr) == 0, code == 0x7f || code == 0xff);
    EXPECT_EQ(FindBadScale(DType::kF8E8M0, &byte, 1, nullptr) == 0, code == 255);
    EXPECT_EQ(FindNonFinite(DType::kI8, &byte, 1, nullptr), -1);
  }
  for (unsigned code = 0; code < 65536; ++code) {
    const auto half = static_cast<std::uint16_t>(code);
    bf16 v;
    v.bits = half;
    EXPECT_EQ(FindNonFinite(DType::kBF16, &half, 1, nullptr) == 0,
              !std::isfinite(static_cast<float>(v)));
    EXPECT_EQ(FindNonFinite(DType::kF16, &half, 1, nullptr) == 0, (code & 0x7c00) == 0x7c00);
  }
}

TEST(FindBadScale, TakesPositiveFiniteNumbers) {
  using Limits = std::numeric_limits<float>;
  for (const float good : {1.0f, Limits::denorm_min(), Limits::min(), Limits::max()}) {
    EXPECT_EQ(FindBadScale(DType::kF32, &good, 1, nullptr), -1) << good;
  }
  for (const float bad :
       {0.0f, -0.0f, -1.0f, Limits::infinity(), Limits::quiet_NaN(), -Limits::min()}) {
    EXPECT_EQ(FindBadScale(DType::kF32, &bad, 1, nullptr), 0) << bad;
  }
}

TEST(FindNonFinite, GivesTheLowestIndexWithAnyThreads) {
  ThreadPool pool(3);
  std::vector<std::uint8_t> values(5 << 20, 0x7e);
  EXPECT_EQ(FindNonFinite(DType::kF8E4M3, values.data(), std::ssize(values), &pool), -1);
  for (const std::size_t i :
       {std::size_t{(5 << 20) - 1}, std::size_t{3 << 20}, std::size_t{4095}}) {
    values[i] = 0x7f;
    const auto expected = static_cast<std::int64_t>(i);
    EXPECT_EQ(FindNonFinite(DType::kF8E4M3, values.data(), std::ssize(values), &pool), expected);
    EXPECT_EQ(FindNonFinite(DType::kF8E4M3, values.data(), std::ssize(values), nullptr), expected);
  }
}

}  // namespace
}  // namespace birkhoff::models
