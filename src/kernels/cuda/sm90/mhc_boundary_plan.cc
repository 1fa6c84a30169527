#include "kernels/cuda/sm90/mhc_boundary_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kBlocks = 16;  // of a team
constexpr int kTile = 8;     // tokens

// The most tokens that a form is the fastest for. One H200, November 2026, us at H = 4096 / 5120 /
// 7168. Cluster and groups: 5.7 and 6.2 / 6.4 and 6.4 / 7.4 and 7.5 at T = 24, 6.4 and 6.4 / 7.4
// and 6.6 / 9.0 and 7.6 at 32. Groups and ring: 12.4 and 12.7 / 14.7 and 16.0 / 20.5 and 20.8 at
// 320, 12.7 and 13.4 / 17.6 and 16.8 / 23.1 and 22.1 at 352, 16.0 and 16.3 / 22.9 and 21.5 / 30.3
// and 28.5 at 512.
struct Most {
  std::int64_t cluster;
  std::int64_t groups;
};
Most MostFor(std::int64_t hidden) { return {24, hidden == 4096 ? 512 : 320}; }

}  // namespace

BoundaryPlan PlanBoundary(std::int64_t hidden, std::int64_t tokens, const BoundaryRoom& room) {
  const std::int64_t tiles = (tokens + kTile - 1) / kTile;
  const Most most = MostFor(hidden);
  if (room.clusters > 0 && tokens <= most.cluster)
    return {BoundaryForm::kCluster, std::min<std::int64_t>(tiles, room.clusters)};
  if (room.ring_clusters > 0 && tokens > most.groups)
    return {BoundaryForm::kRing, std::min<std::int64_t>(tiles, room.ring_clusters)};
  const int groups = std::min(kMostGroups, room.multiprocessors / kBlocks);
  return {BoundaryForm::kGroups, std::min<std::int64_t>(tiles, groups)};
}

std::string Describe(const BoundaryPlan& plan, std::int64_t hidden, std::int64_t tokens) {
  if (tokens == 0) return "nothing: no tokens";
  const Most most = MostFor(hidden);
  const std::string launch = fmt::format("{} {} of {} blocks for {} tiles of {} tokens", plan.teams,
                                         plan.form == BoundaryForm::kGroups ? "groups" : "clusters",
                                         kBlocks, (tokens + kTile - 1) / kTile, kTile);
  switch (plan.form) {
    case BoundaryForm::kCluster:
      return fmt::format(
          "{}: up to T = {} at H = {} the exchange through shared memory is the shorter one",
          launch, most.cluster, hidden);
    case BoundaryForm::kRing:
      return fmt::format(
          "{}, through a ring in shared memory: beyond T = {} at H = {} the exchange must not wait "
          "for device memory",
          launch, most.groups, hidden);
    case BoundaryForm::kGroups: break;
  }
  return fmt::format(
      "{}: beyond T = {} and up to T = {} at H = {}, or without room for a cluster, more blocks "
      "work and start sooner than in clusters",
      launch, most.cluster, most.groups, hidden);
}

}  // namespace birkhoff::cuda::sm90
