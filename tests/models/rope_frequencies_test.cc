#include "models/rope_frequencies.h"

#include <gtest/gtest.h>

#include <map>

namespace birkhoff::models {
namespace {

void ExpectFrequencies(const std::vector<double>& f,
                       const std::map<std::size_t, double>& expected) {
  for (const auto& [i, value] : expected) EXPECT_NEAR(f[i] / value, 1.0, 1e-6) << "pair " << i;
}

// Check values of the released models and of tiny-v4 (docs/numerics.md).
TEST(RopeFrequencies, YarnOfTheReleases) {
  const YarnScaling yarn{16, 65536, 32, 1};
  const auto f = RopeFrequencies(64, 160000, &yarn);
  ASSERT_EQ(f.size(), 32u);
  ExpectFrequencies(f, {{0, 1},
                        {1, 6.876560e-1},
                        {15, 3.635539e-3},
                        {16, 2.265625e-3},
                        {17, 1.396801e-3},
                        {20, 2.969778e-4},
                        {24, 1.953125e-5},
                        {25, 5.372313e-6},
                        {31, 5.680529e-7}});
}

TEST(RopeFrequencies, YarnOfTinyV4) {
  const YarnScaling yarn{16, 4096, 32, 1};
  const auto f = RopeFrequencies(32, 160000, &yarn);
  ExpectFrequencies(f, {{4, 5.000000e-2},
                        {5, 1.921038e-2},
                        {6, 6.987712e-3},
                        {7, 2.313000e-3},
                        {8, 6.250000e-4},
                        {9, 7.388606e-5},
                        {15, 8.260713e-7}});
}

TEST(RopeFrequencies, PlainIsAPowerOfTheBase) {
  const auto f = RopeFrequencies(8, 10000, nullptr);
  ExpectFrequencies(f, {{0, 1}, {1, 0.1}, {2, 0.01}, {3, 0.001}});
}

TEST(RopeFrequencies, EqualBordersDoNotDivideByZero) {
  const YarnScaling yarn{4, 64, 1, 1};
  for (const double f : RopeFrequencies(8, 10000, &yarn)) EXPECT_TRUE(f > 0 && f <= 1) << f;
}

}  // namespace
}  // namespace birkhoff::models
