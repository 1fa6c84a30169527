#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernel_rows.h"
#include "mhc_problem.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

struct Result {
  Activations streams = {};
  std::vector<float> pre = {}, post = {}, comb = {};
  Activations h = {};

  bool operator==(const Result& o) const {
    return streams.bytes() == o.streams.bytes() && pre == o.pre && post == o.post &&
           comb == o.comb && h.bytes() == o.h.bytes();
  }
};

Result Fused(std::string_view folder, MhcProblem p, ThreadPool& pool, bool in_place,
             bool normed = true) {
  Result r{Activations(p.type, p.streams.size()), {}, {}, {}, Activations(p.type, p.x.size())};
  MhcBoundaryArgs a = p.Boundary(in_place ? p.streams : r.streams, r.h);
  if (!normed) a.norm_weight = nullptr;
  RunRow(RowIn(folder, MhcBoundaryKernels()), a, pool);
  if (in_place) r.streams = p.streams;
  r.pre = p.pre;
  r.post = p.post;
  r.comb = p.comb;
  return r;
}

Result OneAfterAnother(std::string_view folder, MhcProblem p, ThreadPool& pool,
                       bool normed = true) {
  Result r{Activations(p.type, p.streams.size()), {}, {}, {}, Activations(p.type, p.x.size())};
  const MhcPostArgs post{p.x.data(),       p.streams.data(), p.post_in.data(), p.comb_in.data(),
                         r.streams.data(), p.type,           p.tokens,         p.hc,
                         p.hidden};
  RunRow(RowIn(folder, MhcPostKernels()), post, pool);
  p.streams = r.streams;
  RunRow(RowIn(folder, MhcCoeffsKernels()), p.Coeffs(), pool);
  Activations v(p.type, p.x.size());
  const MhcCollapseArgs collapse{p.streams.data(), p.pre.data(), v.data(), p.type,
                                 p.tokens,         p.hc,         p.hidden};
  RunRow(RowIn(folder, MhcCollapseKernels()), collapse, pool);
  r.h = v;
  if (normed) {
    const RmsNormArgs norm{.x = v.data(),
                           .weight = p.norm.data(),
                           .out = r.h.data(),
                           .x_type = p.type,
                           .out_type = p.type,
                           .rows = p.tokens,
                           .width = p.hidden,
                           .eps = 1e-6f};
    RunRow(RowIn(folder, RmsNormKernels()), norm, pool);
  }
  r.pre = p.pre;
  r.post = p.post;
  r.comb = p.comb;
  return r;
}

template <class F>
void ForRunnable(const MhcProblem& problem, F f) {
  MhcProblem p = problem;
  Activations none(p.type, 0);
  for (const Kernel<MhcBoundaryArgs>& row : MhcBoundaryKernels()) {
    if (WhyNot(row, p.Boundary(none, none), HostDevice())) continue;
    SCOPED_TRACE(std::string(row.name) + " T=" + std::to_string(p.tokens) +
                 " hc=" + std::to_string(p.hc) + " H=" + std::to_string(p.hidden) +
                 (p.type == DType::kBF16 ? " bf16" : " f32"));
    f(Folder(row.name));
  }
}

// The projection reads X' as it was rounded, the norm v as it was rounded.
TEST(MhcBoundary, HasTheBitsOfItsPartsOneAfterAnother) {
  ThreadPool one(1);
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const std::int64_t hidden : {5, 64, 160, 250}) {
      for (const std::int64_t hc : {2, 4, 8}) {
        const std::int64_t tokens = hidden == 64 ? 18 : 3;
        const MhcProblem p(tokens, hc, hidden, type, static_cast<unsigned>(hidden));
        ForRunnable(p, [&](std::string_view folder) {
          EXPECT_TRUE(Fused(folder, p, one, false) == OneAfterAnother(folder, p, one));
        });
      }
    }
  }
}

TEST(MhcBoundary, WithoutNormGivesTheCollapsedVector) {
  ThreadPool one(1);
  const MhcProblem p(3, 4, 70, DType::kBF16);
  ForRunnable(p, [&](std::string_view folder) {
    EXPECT_TRUE(Fused(folder, p, one, false, false) == OneAfterAnother(folder, p, one, false));
  });
}

TEST(MhcBoundary, WorksInPlaceOnAnyNumberOfThreads) {
  ThreadPool one(1);
  for (const std::int64_t tokens : {0, 1, 16, 50}) {
    const MhcProblem p(tokens, 4, 160, DType::kBF16);
    ForRunnable(p, [&](std::string_view folder) {
      const Result want = Fused(folder, p, one, false);
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        EXPECT_TRUE(Fused(folder, p, pool, true) == want) << threads << " threads";
      }
    });
  }
}

// Before the first layer all streams of a token are its embedding: read from one row, they give
// what copies of it give.
TEST(MhcBoundary, OneRowForAllStreamsHasTheBitsOfCopies) {
  ThreadPool pool(2);
  for (const DType type : {DType::kBF16, DType::kF32}) {
    MhcProblem p(19, 4, 70, type);
    for (std::int64_t t = 0; t < 19; ++t) {
      for (std::int64_t i = 0; i < 4 * 70; ++i)
        p.streams.Set(t * 4 * 70 + i, p.streams.Get(t * 4 * 70 + i % 70));
    }
    Activations rows(type, 19 * 70);
    for (std::int64_t i = 0; i < 19 * 70; ++i) rows.Set(i, p.streams.Get(i / 70 * 4 * 70 + i % 70));
    ForRunnable(p, [&](std::string_view folder) {
      const Result want = Fused(folder, p, pool, false);
      MhcProblem q = p;
      Result r{Activations(type, p.streams.size()), {}, {}, {}, Activations(type, p.x.size())};
      MhcBoundaryArgs a = q.Boundary(r.streams, r.h);
      a.streams = rows.data();
      a.layout.token = 70;
      RunRow(RowIn(folder, MhcBoundaryKernels()), a, pool);
      r.pre = q.pre;
      r.post = q.post;
      r.comb = q.comb;
      EXPECT_TRUE(r == want);
    });
  }
}

// A NaN in any input of one row reaches no bit of another.
TEST(MhcBoundary, NanAndInfStayInTheirRow) {
  constexpr std::int64_t kTokens = 17;
  ThreadPool one(1);
  const MhcProblem p(kTokens, 4, 24, DType::kBF16);
  const float bad[] = {std::nanf(""), HUGE_VALF, -HUGE_VALF};
  ForRunnable(p, [&](std::string_view folder) {
    const Result clean = Fused(folder, p, one, false);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      MhcProblem q = p;
      const auto row = static_cast<std::size_t>(t);
      const float value = bad[t % 3];
      switch (t % 4) {
        case 0: q.x.Set(t * 24 + 7, value); break;
        case 1: q.streams.Set(t * 96 + 50, value); break;
        case 2: q.post_in[row * 4 + 1] = value; break;
        default: q.comb_in[row * 16 + 6] = value; break;
      }
      const Result r = Fused(folder, q, one, false);
      for (std::int64_t i = 0; i < kTokens; ++i) {
        if (i == t) continue;
        const auto at = static_cast<std::size_t>(i);
        for (std::size_t j = 0; j < 4; ++j) {
          EXPECT_EQ(r.pre[at * 4 + j], clean.pre[at * 4 + j]);
          EXPECT_EQ(r.post[at * 4 + j], clean.post[at * 4 + j]);
        }
        for (std::int64_t c = 0; c < 96; ++c) {
          EXPECT_EQ(r.streams.Get(i * 96 + c), clean.streams.Get(i * 96 + c));
        }
        for (std::int64_t c = 0; c < 24; ++c) {
          EXPECT_EQ(r.h.Get(i * 24 + c), clean.h.Get(i * 24 + c));
        }
      }
    }
  });
}

TEST(MhcBoundary, BindsItsOperands) {
  MhcProblem p(3, 4, 20, DType::kF32);
  ThreadPool one(1);
  Result want;
  ForRunnable(p, [&](std::string_view folder) {
    if (want.pre.empty()) want = Fused(folder, p, one, false);  // the row that the op selects
  });
  Result r{Activations(p.type, p.streams.size()), {}, {}, {}, Activations(p.type, p.x.size())};
  RunOp(kMhcBoundary,
        {{"iterations", std::int64_t{20}},
         {"rms_eps", 1e-6},
         {"pre_eps", 1e-6},
         {"sinkhorn_eps", 1e-6},
         {"post_mult", 2.0},
         {"norm_eps", 1e-6},
         {"fp8_group", std::int64_t{0}},
         {"fp8_scale", std::int64_t{0}}},
        {Tensor(p.x.data(), p.type, {3, 20}), Tensor(p.streams.data(), p.type, {3, 4, 20}),
         Tensor(p.post_in, DType::kF32, {3, 4}), Tensor(p.comb_in, DType::kF32, {3, 4, 4}),
         Tensor(p.fn, DType::kF32, {24, 80}), Tensor(p.base, DType::kF32, {24}),
         Tensor(p.scale, DType::kF32, {3}), Tensor(p.norm, DType::kF32, {20})},
        {Tensor(r.streams.data(), p.type, {3, 4, 20}), Tensor(p.pre, DType::kF32, {3, 4}),
         Tensor(p.post, DType::kF32, {3, 4}), Tensor(p.comb, DType::kF32, {3, 4, 4}),
         Tensor(r.h.data(), p.type, {3, 20})});
  r.pre = p.pre;
  r.post = p.post;
  r.comb = p.comb;
  EXPECT_TRUE(r == want);
}

TEST(MhcBoundary, InfersAndRefuses) {
  const Extent t{1, Symbol::kTokens};
  const auto vector = [](std::vector<Extent> shape) {
    return ValueType{Kind::kVector, DType::kF32, std::move(shape)};
  };
  const auto infer = [&](std::int64_t norm) {
    return Inferred(
        kMhcBoundary, {{"iterations", std::int64_t{20}}, {"fp8_group", std::int64_t{0}}},
        {Activation(DType::kBF16, {t, Const(64)}),
         Activation(DType::kBF16, {t, Const(4), Const(64)}), Activation(DType::kF32, {t, Const(4)}),
         Activation(DType::kF32, {t, Const(4), Const(4)}), vector({Const(24), Const(256)}),
         vector({Const(24)}), vector({Const(3)}), vector({Const(norm)})});
  };
  EXPECT_EQ(infer(64), "BF16 [T, 4, 64]; F32 [T, 4]; F32 [T, 4]; F32 [T, 4, 4]; BF16 [T, 64]");
  EXPECT_THAT(infer(63), HasSubstr("mhc_boundary norm: expected [64]"));
}

}  // namespace
}  // namespace birkhoff::ops
