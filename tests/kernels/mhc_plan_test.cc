// How the Hopper boundary is launched: rules that hold on any machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cuda/sm90/mhc_boundary_plan.h"

namespace birkhoff::cuda::sm90 {
namespace {

constexpr BoundaryRoom kH200 = {.multiprocessors = 132, .clusters = 7, .ring_clusters = 7};

BoundaryPlan Plan(std::int64_t hidden, std::int64_t tokens, const BoundaryRoom& room = kH200) {
  return PlanBoundary(hidden, tokens, room);
}

TEST(MhcBoundaryPlan, FormsFollowEachOther) {
  for (const std::int64_t hidden : {4096, 5120, 7168}) {
    EXPECT_EQ(Plan(hidden, 1).form, BoundaryForm::kCluster);
    EXPECT_EQ(Plan(hidden, 1).teams, 1);
    EXPECT_EQ(Plan(hidden, 24).form, BoundaryForm::kCluster);
    EXPECT_EQ(Plan(hidden, 24).teams, 3);
    EXPECT_EQ(Plan(hidden, 25).form, BoundaryForm::kGroups);
    EXPECT_EQ(Plan(hidden, 56).form, BoundaryForm::kGroups);
    EXPECT_EQ(Plan(hidden, 56).teams, 7);
    EXPECT_EQ(Plan(hidden, 65).form, BoundaryForm::kGroups);
    EXPECT_EQ(Plan(hidden, 65).teams, 8);
    EXPECT_EQ(Plan(hidden, 513).form, BoundaryForm::kRing);
    EXPECT_EQ(Plan(hidden, 80000).teams, 7);
  }
  EXPECT_EQ(Plan(4096, 512).form, BoundaryForm::kGroups);
  EXPECT_EQ(Plan(7168, 512).form, BoundaryForm::kRing);
}

// Never more blocks than multiprocessors, never a team without a tile.
TEST(MhcBoundaryPlan, TeamsFitTheGpuAndTheTokens) {
  for (const std::int64_t hidden : {4096, 5120, 7168}) {
    for (const int clusters : {0, 1, 7}) {
      for (std::int64_t tokens = 1; tokens < 600; ++tokens) {
        const BoundaryPlan plan = Plan(hidden, tokens, {132, clusters, clusters});
        EXPECT_GE(plan.teams, 1) << tokens;
        EXPECT_LE(plan.teams, (tokens + 7) / 8) << tokens;
        EXPECT_LE(plan.teams, plan.form == BoundaryForm::kGroups ? 8 : clusters) << tokens;
      }
    }
  }
}

TEST(MhcBoundaryPlan, WithoutRoomForAClusterGroupsDoAll) {
  EXPECT_EQ(Plan(4096, 1, {132, 0, 0}).form, BoundaryForm::kGroups);
  EXPECT_EQ(Plan(4096, 9000, {132, 0, 0}).form, BoundaryForm::kGroups);
  EXPECT_EQ(Plan(4096, 9000, {132, 7, 0}).form, BoundaryForm::kGroups);
  EXPECT_EQ(Plan(4096, 9000, {400, 0, 0}).teams, kMostGroups);
}

TEST(MhcBoundaryPlan, SaysWhy) {
  using testing::HasSubstr;
  EXPECT_THAT(Describe(Plan(4096, 20), 4096, 20), HasSubstr("3 clusters of 16 blocks"));
  EXPECT_THAT(Describe(Plan(7168, 100), 7168, 100), HasSubstr("8 groups of 16 blocks"));
  EXPECT_THAT(Describe(Plan(7168, 100), 7168, 100), HasSubstr("beyond T = 24"));
  EXPECT_THAT(Describe(Plan(4096, 1000), 4096, 1000), HasSubstr("7 clusters of 16 blocks"));
  EXPECT_THAT(Describe(Plan(4096, 1000), 4096, 1000), HasSubstr("through a ring"));
  EXPECT_EQ(Describe(Plan(4096, 0), 4096, 0), "nothing: no tokens");
}

}  // namespace
}  // namespace birkhoff::cuda::sm90
