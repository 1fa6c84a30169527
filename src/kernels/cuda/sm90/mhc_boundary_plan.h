// How the Hopper boundary is launched for a number of tokens, and why.
#pragma once

#include <cstdint>
#include <string>

namespace birkhoff::cuda::sm90 {

// The widths that have a kernel.
constexpr bool IsBuiltFor(std::int64_t hidden) {
  return hidden == 4096 || hidden == 5120 || hidden == 7168;
}

// Groups of sixteen blocks need a GPU much larger than the groups that may be incomplete on it.
constexpr int kLeastMultiprocessors = 64;

// Tokens that a cluster of the ring form or a group takes at most in a launch.
constexpr std::int64_t kMostRingTokens = 1 << 17;
constexpr int kMostGroups = 8;  // that there is room for to exchange sums

enum class BoundaryForm : std::uint8_t {
  kCluster,  // sixteen blocks exchange sums through their shared memory
  kGroups,   // through device memory; X' stays in shared memory
  kRing,     // clusters again, X' in shared memory too
};

struct BoundaryPlan {
  BoundaryForm form = BoundaryForm::kCluster;
  std::int64_t teams = 0;  // clusters or groups, of sixteen blocks each
};

// Blocks that fit on the GPU at once.
struct BoundaryRoom {
  int multiprocessors = 0;
  int clusters = 0;       // of sixteen blocks of the cluster form
  int ring_clusters = 0;  // of the ring form
};

BoundaryPlan PlanBoundary(std::int64_t hidden, std::int64_t tokens, const BoundaryRoom& room);

// "2 clusters of 16 blocks, ...": the plan and its reason.
std::string Describe(const BoundaryPlan& plan, std::int64_t hidden, std::int64_t tokens);

}  // namespace birkhoff::cuda::sm90
