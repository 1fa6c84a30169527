#include "kernels/cuda/sm90/mhc_boundary_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kBlocks = 16;  // of a team
constexpr int kTile = 8;     // tokens

// Up to so many tokens the cluster form is no slower. One H200, November 2026, us of cluster at T
// and of stream at T + 1: H = 4096 9.1 and 9.5, H = 5120 10.1 and 10.0 at T = 64; at H = 7168 an
// eighth tile would wait for one of seven clusters.
std::int64_t MostForClusters(std::int64_t hidden) { return hidden == 7168 ? 56 : 64; }

}  // namespace

BoundaryPlan PlanBoundary(std::int64_t hidden, std::int64_t tokens, int multiprocessors,
                          int most_clusters) {
  const std::int64_t tiles = (tokens + kTile - 1) / kTile;
  if (most_clusters > 0 && tokens <= MostForClusters(hidden))
    return {BoundaryForm::kCluster, std::min<std::int64_t>(tiles, most_clusters)};
  return {BoundaryForm::kStream, std::min<std::int64_t>(tiles, multiprocessors / kBlocks)};
}

std::string Describe(const BoundaryPlan& plan, std::int64_t hidden, std::int64_t tokens) {
  const std::int64_t tiles = (tokens + kTile - 1) / kTile;
  if (tokens == 0) return "nothing: no tokens";
  if (plan.form == BoundaryForm::kCluster)
    return fmt::format(
        "{} clusters of {} blocks for {} tiles of {} tokens: up to T = {} at H = {} the exchange "
        "through shared memory is the shorter one",
        plan.teams, kBlocks, tiles, kTile, MostForClusters(hidden), hidden);
  return fmt::format(
      "{} groups of {} blocks for {} tiles of {} tokens: beyond T = {} at H = {}, or without room "
      "for a cluster, more blocks than clusters leave room for",
      plan.teams, kBlocks, tiles, kTile, MostForClusters(hidden), hidden);
}

}  // namespace birkhoff::cuda::sm90
