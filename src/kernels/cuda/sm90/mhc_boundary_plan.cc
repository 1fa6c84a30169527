#include "kernels/cuda/sm90/mhc_boundary_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kBlocks = 16;  // of a team
constexpr int kTile = 8;     // tokens

// The most tokens that a form is the fastest for. One H200, November 2026, us at H = 4096 / 5120 /
// 7168. Cluster and groups: 5.5 and 5.9 / 6.1 and 6.1 / 7.1 and 7.2 at T = 8, 6.7 and 6.4 / 7.8 and
// 6.9 / 9.8 and 7.8 at 40. Groups and ring: 11.5 and 11.5 / 13.5 and 14.3 / 17.0 and 18.4 at 256,
// 12.6 and 13.3 / 15.2 and 16.1 / 20.1 and 20.9 at 320, 17.0 and 16.2 / 23.3 and 21.6 / 30.9 and
// 29.0 at 512. In between: where lines between these meet, but at 320 a group has as many tiles as
// slots at H = 5120, and one more at 7168.
struct Most {
  std::int64_t cluster;
  std::int64_t groups;
};
Most MostFor(std::int64_t hidden) {
  if (hidden == 4096) return {24, 384};
  return {8, 320};
}

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
