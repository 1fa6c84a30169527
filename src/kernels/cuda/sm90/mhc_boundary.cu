#include "kernels/cuda/sm90/mhc_boundary.h"

#include <algorithm>

#include "birkhoff/device.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/mhc_pack.h"
#include "kernels/cuda/sm90/launch.h"
#include "kernels/cuda/sm90/mhc_boundary_plan.h"

namespace birkhoff::cuda::sm90 {
namespace {

std::size_t PackedFn(const MhcBoundaryArgs& a) { return PackedBytes(kMixes, kHc, a.hidden); }

// The same for `tokens` of them.
BoundaryArgs Part(BoundaryArgs b, std::int64_t start, std::int64_t tokens) {
  const std::int64_t hidden = b.constants.hidden;
  b.x += start * hidden;
  b.streams += start * kHc * hidden;
  b.post += start;
  b.comb += start * kHc;
  b.streams_out += start * kHc * hidden;
  b.pre_out += start * kHc;
  b.post_out += start * kHc;
  b.comb_out += start * kHc * kHc;
  if (b.h.bf16 != nullptr) b.h.bf16 += start * hidden;
  if (b.h.fp8.format.group != 0) {
    const int of_scale = b.h.fp8.format.scale == Fp8Scale::kE8M0 ? 1 : 4;
    b.h.fp8.data = static_cast<char*>(b.h.fp8.data) + start * hidden;
    b.h.fp8.scale = static_cast<char*>(b.h.fp8.scale) + start * b.h.fp8.scale_row * of_scale;
  }
  b.tokens = tokens;
  return b;
}

}  // namespace

BoundaryPlan PlanMhcBoundary(std::int64_t hidden, std::int64_t tokens) {
  return PlanBoundary(
      hidden, tokens,
      {FirstGpu().device->multiprocessors, MostClusters(hidden), MostRingClusters(hidden)});
}

void MhcBoundary(const MhcBoundaryArgs& a, const Exec& exec) {
  MhcBoundaryAs(PlanMhcBoundary(a.hidden, a.tokens), a, exec);
}

void MhcBoundaryAs(const BoundaryPlan& plan, const MhcBoundaryArgs& a, const Exec& exec) {
  if (a.tokens == 0) return;
  BoundaryArgs b;
  b.x = static_cast<const std::uint16_t*>(a.x);
  b.streams = static_cast<const std::uint16_t*>(a.streams);
  b.post = reinterpret_cast<const float4*>(a.post);
  b.comb = reinterpret_cast<const float4*>(a.comb);
  b.fn = static_cast<const char*>(exec.state);
  b.base = a.site.base;
  b.scale = a.site.scale;
  b.norm_weight = a.norm_weight;
  b.streams_out = static_cast<std::uint16_t*>(a.streams_out);
  b.pre_out = a.pre_out;
  b.post_out = a.post_out;
  b.comb_out = a.comb_out;
  b.h = {static_cast<std::uint16_t*>(a.h), fp8::WithSteps(a.fp8, a.hidden)};
  b.exchange = static_cast<char*>(exec.state) + PackedFn(a);
  b.tokens = a.tokens;
  b.constants = VerdictConstants(kHc, a.hidden);
  b.constants.rms_eps = a.site.rms_eps;
  b.constants.pre_eps = a.site.pre_eps;
  b.constants.post_mult = a.site.post_mult;
  b.constants.normed = a.norm_weight != nullptr;
  b.constants.norm_eps = a.norm_eps;
  b.constants.strict = a.strict;
  b.sinkhorn_eps = a.site.sinkhorn_eps;
  b.iterations = a.site.iterations;
  const auto stream = static_cast<cudaStream_t>(exec.stream);
  if (plan.form == BoundaryForm::kCluster && a.tokens <= kMostClusterTokens * plan.teams) {
    EnqueueCluster(b, plan.teams, stream);
    return;
  }
  // One launch, but for a million tokens.
  const std::int64_t most = kMostRingTokens * plan.teams;
  for (std::int64_t start = 0; start < a.tokens; start += most) {
    const BoundaryArgs part = Part(b, start, std::min(most, a.tokens - start));
    const std::int64_t teams = std::min(plan.teams, (part.tokens + kTile - 1) / kTile);
    if (plan.form == BoundaryForm::kRing) {
      EnqueueRing(part, teams, stream);
    } else {
      EnqueueGroups(part, teams, stream);
    }
  }
}

std::string MhcBoundaryLaunch(const MhcBoundaryArgs& a) {
  return Describe(PlanMhcBoundary(a.hidden, a.tokens), a.hidden, a.tokens);
}

std::size_t MhcBoundaryState(const MhcBoundaryArgs& a) {
  return PackedFn(a) + GroupExchangeBytes();
}

void MhcBoundaryPrepare(const MhcBoundaryArgs& a, const Exec& exec) {
  const auto stream = static_cast<cudaStream_t>(exec.stream);
  PackFn(a.site.fn, kMixes, kHc, a.hidden, exec.state, stream);
  // Second, so that a boundary launched behind it, which waits for this alone, sees fn packed.
  cudaMemsetAsync(static_cast<char*>(exec.state) + PackedFn(a), 0,
                  MhcBoundaryState(a) - PackedFn(a), stream);
}

}  // namespace birkhoff::cuda::sm90
