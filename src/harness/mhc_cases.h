// What the case lists of the mHC ops share: shapes, inputs and the outputs that several have.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "harness/mhc_bounds.h"
#include "harness/problems.h"

namespace birkhoff::harness {

enum class MhcRows : std::uint8_t {
  kPacked,
  kPadded,     // gaps between rows of x, streams and tokens
  kOneStream,  // one row stands for all streams, as before the first layer
};

struct MhcShape {
  std::int64_t tokens = 0;
  std::int64_t hc = 4;
  std::int64_t hidden = 0;
  DType type = kBF16;
  int iterations = 20;
  bool bench = false;
  MhcRows layout = MhcRows::kPacked;
  Fp8Format fp8 = {};  // of the boundaries
  bool only_fp8 = false;
  bool dense = false;  // as in Case

  MhcLayout strides() const {
    if (layout == MhcRows::kPadded) return {hidden + 40, hc * (hidden + 16), hidden + 16};
    if (layout == MhcRows::kOneStream) return {0, hidden + 24, 0};
    return {};
  }
  std::int64_t rows() const { return hc * (hc + 2); }
  std::string name() const;
  std::vector<std::pair<std::string, std::int64_t>> dims() const;
  std::int64_t k() const { return hc * hidden; }
  std::int64_t stream_elements() const { return tokens * hc * hidden; }
  double stream_bytes() const { return static_cast<double>(ByteSize(type, stream_elements())); }
  double row_bytes() const { return static_cast<double>(ByteSize(type, tokens * hidden)); }
  double coefficient_bytes() const { return 4.0 * static_cast<double>(tokens * hc * (hc + 2)); }
  double fn_bytes() const { return 4.0 * static_cast<double>(rows() * k()); }
  double projection_flops() const { return 2.0 * static_cast<double>(tokens * rows() * k()); }
  double mix_flops() const { return 2.0 * static_cast<double>(stream_elements() * (hc + 1)); }

  std::shared_ptr<Buffers> NewBuffers() const {
    return std::make_shared<Buffers>(static_cast<std::uint64_t>(tokens * 8191 + hidden * 16 + hc));
  }
};

// For every kernel, and the benchmarks of GPU rows.
std::span<const MhcShape> MhcShapes();
std::vector<MhcShape> MhcBenchShapes();

// The part of an argument struct that has the extents.
template <class Args>
Args& WithExtents(Args& args) {
  return args;
}
inline MhcBoundaryArgs& WithExtents(MhcBoundaryShiftedArgs& args) { return args.boundary; }

template <class Args>
constexpr bool kGoesToFp8 = requires(Args a) {
  WithExtents(a).fp8;
};

// The cases of an op whose problems make() makes; link as in GpuBench.
template <class Args>
std::unique_ptr<Suite> MhcSuite(std::string_view op, std::span<const Kernel<Args>> table,
                                Problem<Args> (*make)(const MhcShape&, MhcArithmetic),
                                void (*link)(const Args& before, Args& next) = nullptr) {
  std::vector<Case<Args>> cases;
  GpuBench<Args> bench = {.link = link};
  const auto add = [&](std::vector<Case<Args>>& to, const MhcShape& s) {
    if (s.fp8.group != 0 && !kGoesToFp8<Args>) return;
    const auto extents = [s] {
      Args args;
      auto& a = WithExtents(args);
      a.type = s.type;
      a.tokens = s.tokens;
      a.hc = s.hc;
      a.hidden = s.hidden;
      a.layout = s.strides();
      if constexpr (kGoesToFp8<Args>) a.fp8.format = s.fp8;
      return args;
    };
    to.push_back({s.name(),
                  [make, s](std::string_view bits) { return make(s, MhcArithmetic::Of(bits)); },
                  s.bench, s.dims(), extents, s.dense});
  };
  for (const MhcShape& s : MhcShapes()) add(cases, s);
  for (const MhcShape& s : MhcBenchShapes()) add(bench.cases, s);
  return MakeSuite(op, table, std::move(cases), std::move(bench));
}

// Streams of different size, so that a mean over one of them is not the mean over all.
void* MhcStreamValues(Buffers& buffers, const MhcShape& s);

// The streams in the layout of the case. `packed` holds the same afterwards, for the bounds.
const void* LayStreams(Buffers& buffers, const MhcShape& s, void* packed);
const void* LayX(Buffers& buffers, const MhcShape& s, const void* packed);

// Mixes of order 1, as in the released models.
const float* MhcFn(Buffers& buffers, std::int64_t rows, const MhcShape& s);
MhcSite MhcSiteValues(Buffers& buffers, const MhcShape& s);

// Adds the outputs pre, post and comb of a site that reads `streams`.
MhcBounds AddCoefficients(Buffers& buffers, const MhcShape& s, MhcArithmetic arithmetic,
                          const void* streams, const MhcSite& site, std::vector<Output>& to);

// |error| of sum_j c_j X_j in hc fused multiply-adds, for element i of [T, H].
double CollapseError(const MhcShape& s, const void* streams, const float* pre, std::int64_t i);

}  // namespace birkhoff::harness
