// How the Hopper boundary is launched: rules that hold on any machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cuda/sm90/mhc_boundary_plan.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kMultiprocessors = 132;
constexpr int kClusters = 7;

BoundaryPlan Plan(std::int64_t hidden, std::int64_t tokens, int clusters = kClusters) {
  return PlanBoundary(hidden, tokens, kMultiprocessors, clusters);
}

TEST(MhcBoundaryPlan, FewTokensGoToClusters) {
  for (const std::int64_t hidden : {4096, 5120, 7168}) {
    EXPECT_EQ(Plan(hidden, 1).form, BoundaryForm::kCluster);
    EXPECT_EQ(Plan(hidden, 1).teams, 1);
    EXPECT_EQ(Plan(hidden, 56).form, BoundaryForm::kCluster);
    EXPECT_EQ(Plan(hidden, 56).teams, 7);
    EXPECT_EQ(Plan(hidden, 65).form, BoundaryForm::kStream);
  }
  EXPECT_EQ(Plan(4096, 57).form, BoundaryForm::kCluster);
  EXPECT_EQ(Plan(7168, 57).form, BoundaryForm::kStream);
}

// Never more blocks than multiprocessors, never a team without a tile.
TEST(MhcBoundaryPlan, TeamsFitTheGpuAndTheTokens) {
  for (const std::int64_t hidden : {4096, 5120, 7168}) {
    for (const int clusters : {0, 1, kClusters}) {
      for (std::int64_t tokens = 1; tokens < 300; ++tokens) {
        const BoundaryPlan plan = Plan(hidden, tokens, clusters);
        EXPECT_GE(plan.teams, 1) << tokens;
        EXPECT_LE(plan.teams, (tokens + 7) / 8) << tokens;
        EXPECT_LE(plan.teams, plan.form == BoundaryForm::kCluster ? clusters : 8) << tokens;
      }
    }
  }
}

TEST(MhcBoundaryPlan, WithoutRoomForAClusterAllIsStreamed) {
  EXPECT_EQ(Plan(4096, 1, 0).form, BoundaryForm::kStream);
}

TEST(MhcBoundaryPlan, SaysWhy) {
  using testing::HasSubstr;
  EXPECT_THAT(Describe(Plan(4096, 20), 4096, 20), HasSubstr("3 clusters of 16 blocks"));
  EXPECT_THAT(Describe(Plan(7168, 1000), 7168, 1000), HasSubstr("8 groups of 16 blocks"));
  EXPECT_THAT(Describe(Plan(7168, 1000), 7168, 1000), HasSubstr("beyond T = 56 at H = 7168"));
  EXPECT_EQ(Describe(Plan(4096, 0), 4096, 0), "nothing: no tokens");
}

}  // namespace
}  // namespace birkhoff::cuda::sm90
