#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "kernel_rows.h"
#include "mhc_problem.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

// A problem with outputs of its own.
struct Site {
  MhcProblem p;
  Activations streams{p.type, p.streams.size()};
  Activations h{p.type, p.x.size()};

  MhcBoundaryArgs Boundary() { return p.Boundary(streams, h); }
};

// Every row except the definition, with the row of mhc_boundary beside it.
template <class F>
void ForFolders(MhcBoundaryShiftedArgs args, F f) {
  ForEachRow(MhcBoundaryShiftedKernels(), args, [&](const Kernel<MhcBoundaryShiftedArgs>& row) {
    if (Folder(row.name) != "ref") f(row, RowIn(Folder(row.name), MhcBoundaryKernels()));
  });
}

TEST(MhcBoundaryShifted, WithItsOwnPreIsTheBoundary) {
  ThreadPool pool(2);
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const std::int64_t hc : {2, 4, 8}) {
      for (const std::int64_t tokens : {0, 1, 19}) {
        Site normal{MhcProblem(tokens, hc, 90, type)};
        Site shifted = normal;
        MhcBoundaryShiftedArgs a{shifted.Boundary(), nullptr};
        ForFolders(a, [&](const auto& row, const auto& boundary) {
          RunRow(boundary, normal.Boundary(), pool);
          const std::vector<float> pre = normal.p.pre;
          a.pre = pre.data();
          RunRow(row, a, pool);
          EXPECT_TRUE(shifted.streams.bytes() == normal.streams.bytes());
          EXPECT_TRUE(shifted.h.bytes() == normal.h.bytes());
          EXPECT_EQ(shifted.p.pre, normal.p.pre);
          EXPECT_EQ(shifted.p.post, normal.p.post);
          EXPECT_EQ(shifted.p.comb, normal.p.comb);
        });
      }
    }
  }
}

// One-hot weights, as at the start of a model: h is the norm of one new stream, whatever the site.
TEST(MhcBoundaryShifted, OneHotReadsOneStream) {
  constexpr std::int64_t kTokens = 5;
  Site run{MhcProblem(kTokens, 4, 64, DType::kBF16)};
  std::vector<float> pre(kTokens * 4, 0.0f);
  for (std::size_t t = 0; t < kTokens; ++t) pre[t * 4] = 1;
  MhcBoundaryShiftedArgs a{run.Boundary(), pre.data()};
  a.boundary.norm_weight = nullptr;
  RunEveryRow(MhcBoundaryShiftedKernels(), a, [&] {
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t c = 0; c < 64; ++c)
        EXPECT_EQ(run.h.Get(t * 64 + c), run.streams.Get(t * 4 * 64 + c));
    }
  });
}

TEST(MhcBoundaryShifted, BindsItsOperands) {
  const MhcProblem problem(3, 4, 20, DType::kF32);
  const std::vector<float> pre = {1, 0, 0.5f, 0, 0, 1, 0, 2, 0.25f, 0.5f, 1, 0};
  Site want{problem};
  ThreadPool pool(1);
  bool done = false;
  ForFolders({want.Boundary(), pre.data()}, [&](const auto& row, const auto&) {
    if (!done) RunRow(row, MhcBoundaryShiftedArgs{want.Boundary(), pre.data()}, pool);
    done = true;  // the row that the op selects
  });
  Site r{problem};
  MhcProblem& p = r.p;
  std::vector<float> before = pre;
  RunOp(kMhcBoundaryShifted,
        {{"iterations", std::int64_t{20}},
         {"rms_eps", 1e-6},
         {"pre_eps", 1e-6},
         {"sinkhorn_eps", 1e-6},
         {"post_mult", 2.0},
         {"norm_eps", 1e-6}},
        {Tensor(p.x.data(), p.type, {3, 20}), Tensor(p.streams.data(), p.type, {3, 4, 20}),
         Tensor(p.post_in, DType::kF32, {3, 4}), Tensor(p.comb_in, DType::kF32, {3, 4, 4}),
         Tensor(p.fn, DType::kF32, {24, 80}), Tensor(p.base, DType::kF32, {24}),
         Tensor(p.scale, DType::kF32, {3}), Tensor(p.norm, DType::kF32, {20}),
         Tensor(before, DType::kF32, {3, 4})},
        {Tensor(r.streams.data(), p.type, {3, 4, 20}), Tensor(p.pre, DType::kF32, {3, 4}),
         Tensor(p.post, DType::kF32, {3, 4}), Tensor(p.comb, DType::kF32, {3, 4, 4}),
         Tensor(r.h.data(), p.type, {3, 20})});
  EXPECT_TRUE(r.streams.bytes() == want.streams.bytes());
  EXPECT_TRUE(r.h.bytes() == want.h.bytes());
  EXPECT_EQ(p.pre, want.p.pre);
  EXPECT_EQ(p.comb, want.p.comb);
}

TEST(MhcBoundaryShifted, InfersAndRefuses) {
  const Extent t{1, Symbol::kTokens};
  const auto vector = [](std::vector<Extent> shape) {
    return ValueType{Kind::kVector, DType::kF32, std::move(shape)};
  };
  const auto infer = [&](std::int64_t streams_of_pre) {
    return Inferred(
        kMhcBoundaryShifted, {{"iterations", std::int64_t{20}}},
        {Activation(DType::kBF16, {t, Const(64)}),
         Activation(DType::kBF16, {t, Const(4), Const(64)}), Activation(DType::kF32, {t, Const(4)}),
         Activation(DType::kF32, {t, Const(4), Const(4)}), vector({Const(24), Const(256)}),
         vector({Const(24)}), vector({Const(3)}), vector({Const(64)}),
         Activation(DType::kF32, {t, Const(streams_of_pre)})});
  };
  EXPECT_EQ(infer(4), "BF16 [T, 4, 64]; F32 [T, 4]; F32 [T, 4]; F32 [T, 4, 4]; BF16 [T, 64]");
  EXPECT_THAT(infer(2), HasSubstr("mhc_boundary_shifted pre: expected [T, 4]"));
}

}  // namespace
}  // namespace birkhoff::ops
