#include "kernels/cuda/sm90/mhc_boundary_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace birkhoff::cuda::sm90 {
namespace {

constexpr int kBlocks = 16;  // of a team
constexpr int kTile = 8;     // tokens

// The most tokens that a form is the fastest for. One H200, November 2026, us at H = 4096 / 5120 /
// 7168. Cluster and stream: 9.1 and 9.2 / 10.1 and 9.9 / 11.5 and 11.4 at T = 64, but stream takes
// 0.5 more from 65 on. Stream and ring: 10.5 and 10.7 / 11.5 and 12.2 / 13.4 and 15.5 at 128, 13.6
// and 11.5 / 14.4 and 13.3 / 16.5 and 16.8 at 160; at H = 7168 22.8 and 23.0 at 320.
struct Most {
  std::int64_t cluster;
  std::int64_t stream;
};
Most MostFor(std::int64_t hidden) {
  if (hidden == 7168) return {56, 320};  // at T = 57 an eighth tile would wait for a cluster
  return {64, 128};
}

}  // namespace

BoundaryPlan PlanBoundary(std::int64_t hidden, std::int64_t tokens, const BoundaryRoom& room) {
  const std::int64_t tiles = (tokens + kTile - 1) / kTile;
  const Most most = MostFor(hidden);
  if (room.clusters > 0 && tokens <= most.cluster)
    return {BoundaryForm::kCluster, std::min<std::int64_t>(tiles, room.clusters)};
  if (tokens > most.stream && tokens <= kMostRingTokens * room.ring_clusters)
    return {BoundaryForm::kRing, std::min<std::int64_t>(tiles, room.ring_clusters)};
  return {BoundaryForm::kStream, std::min<std::int64_t>(tiles, room.multiprocessors / kBlocks)};
}

std::string Describe(const BoundaryPlan& plan, std::int64_t hidden, std::int64_t tokens) {
  if (tokens == 0) return "nothing: no tokens";
  const Most most = MostFor(hidden);
  const std::string launch = fmt::format("{} {} of {} blocks for {} tiles of {} tokens", plan.teams,
                                         plan.form == BoundaryForm::kStream ? "groups" : "clusters",
                                         kBlocks, (tokens + kTile - 1) / kTile, kTile);
  switch (plan.form) {
    case BoundaryForm::kCluster:
      return fmt::format(
          "{}: up to T = {} at H = {} the exchange through shared memory is the shorter one",
          launch, most.cluster, hidden);
    case BoundaryForm::kRing:
      return fmt::format(
          "{}, through a ring in shared memory: beyond T = {} at H = {} bandwidth decides, and X' "
          "is read once",
          launch, most.stream, hidden);
    case BoundaryForm::kStream: break;
  }
  return fmt::format(
      "{}: beyond T = {} and up to T = {} at H = {}, or without room for a cluster, more blocks "
      "work "
      "than clusters leave room for",
      launch, most.cluster, most.stream, hidden);
}

}  // namespace birkhoff::cuda::sm90
