// How the Hopper boundary is launched for a number of tokens, and why.
#pragma once

#include <algorithm>
#include <cstdint>

namespace birkhoff::cuda::sm90 {

enum class BoundaryForm : std::uint8_t { kCluster, kStream };

struct BoundaryPlan {
  BoundaryForm form = BoundaryForm::kCluster;
  std::int64_t teams = 0;  // clusters or groups, of sixteen blocks each
};

// Up to so many tokens the cluster form is the faster one: measured on an H200, docs/notes/mhc.md.
constexpr std::int64_t MostForClusters(std::int64_t hidden) { return hidden == 7168 ? 56 : 64; }

inline BoundaryPlan PlanBoundary(std::int64_t hidden, std::int64_t tokens, int multiprocessors,
                                 int most_clusters) {
  const std::int64_t tiles = (tokens + 7) / 8;
  if (most_clusters > 0 && tokens <= MostForClusters(hidden))
    return {BoundaryForm::kCluster, std::min<std::int64_t>(tiles, most_clusters)};
  return {BoundaryForm::kStream, std::min<std::int64_t>(tiles, multiprocessors / 16)};
}

}  // namespace birkhoff::cuda::sm90
