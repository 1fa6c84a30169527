// mhc_post, mhc_collapse, mhc_head: what reads and mixes streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernel_rows.h"
#include "mhc_problem.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

MhcPostArgs PostArgs(MhcProblem& p, Activations& out) {
  return {p.x.data(), p.streams.data(), p.post_in.data(), p.comb_in.data(),
          out.data(), p.type,           p.tokens,         p.hc,
          p.hidden};
}

// The exact rows promise the bits of this written order; the definition does not round in between.
template <class Args, class F>
void OnExactRows(std::span<const Kernel<Args>> table, const Args& args, F f) {
  ThreadPool pool(1);
  ForEachRow(table, args, [&](const Kernel<Args>& row) {
    if (row.bits != "exact") return;
    RunRow(row, args, pool);
    f();
  });
}

TEST(MhcPost, HasTheBitsOfTheWrittenOrder) {
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const std::int64_t hc : {2, 4, 8}) {
      MhcProblem p(3, hc, 37, type);
      Activations out(type, p.streams.size());
      OnExactRows(MhcPostKernels(), PostArgs(p, out), [&] {
        Activations want(type, p.streams.size());
        for (std::int64_t i = 0; i < want.size(); ++i) {
          const std::int64_t t = i / (hc * 37);
          const std::int64_t m = i / 37 % hc;
          float a = p.post_in[static_cast<std::size_t>(t * hc + m)] * p.x.Get(t * 37 + i % 37);
          for (std::int64_t j = 0; j < hc; ++j) {
            a = std::fma(p.comb_in[static_cast<std::size_t>((t * hc + j) * hc + m)],
                         p.streams.Get((t * hc + j) * 37 + i % 37), a);
          }
          want.Set(i, a);
        }
        EXPECT_TRUE(out.bytes() == want.bytes());
      });
    }
  }
}

TEST(MhcPost, ZeroPostAndIdentityReturnTheStreams) {
  MhcProblem p(2, 4, 33, DType::kBF16);
  std::fill(p.post_in.begin(), p.post_in.end(), 0.0f);
  for (std::size_t i = 0; i < p.comb_in.size(); ++i) p.comb_in[i] = i % 16 % 5 == 0 ? 1.0f : 0.0f;
  Activations out(p.type, p.streams.size());
  RunEveryRow(MhcPostKernels(), PostArgs(p, out),
              [&] { EXPECT_TRUE(out.bytes() == p.streams.bytes()); });
}

// comb[0][1] alone: stream 0 goes to stream 1. A transposed comb would send 1 to 0.
TEST(MhcPost, SumsOverTheFirstIndexOfComb) {
  MhcProblem p(1, 2, 3, DType::kF32);
  std::fill(p.post_in.begin(), p.post_in.end(), 0.0f);
  p.comb_in = {0, 1, 0, 0};
  Activations out(p.type, p.streams.size());
  RunEveryRow(MhcPostKernels(), PostArgs(p, out), [&] {
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(out.Get(i), 0);
      EXPECT_EQ(out.Get(3 + i), p.streams.Get(i));
    }
  });
}

TEST(MhcPost, WorksInPlace) {
  ThreadPool pool(2);
  for (const std::int64_t hc : {2, 4, 8}) {
    MhcProblem p(5, hc, 50, DType::kBF16);
    Activations out(p.type, p.streams.size());
    ForEachRow(MhcPostKernels(), PostArgs(p, out), [&](const Kernel<MhcPostArgs>& row) {
      RunRow(row, PostArgs(p, out), pool);
      MhcProblem q = p;
      RunRow(row, PostArgs(q, q.streams), pool);
      EXPECT_TRUE(q.streams.bytes() == out.bytes());
    });
  }
}

TEST(MhcPost, BindsItsOperands) {
  MhcProblem p(3, 4, 20, DType::kF32);
  Activations want(p.type, p.streams.size());
  Activations out(p.type, p.streams.size());
  OnExactRows(MhcPostKernels(), PostArgs(p, want), [] {});
  RunOp(kMhcPost, {},
        {Tensor(p.x.data(), p.type, {3, 20}), Tensor(p.streams.data(), p.type, {3, 4, 20}),
         Tensor(p.post_in, DType::kF32, {3, 4}), Tensor(p.comb_in, DType::kF32, {3, 4, 4})},
        {Tensor(out.data(), p.type, {3, 4, 20})});
  EXPECT_TRUE(out.bytes() == want.bytes());
  EXPECT_EQ(kMhcPost.in_place.operand, 1);
}

TEST(MhcPost, Infers) {
  const Extent t{1, Symbol::kTokens};
  const auto infer = [&](DType x) {
    return Inferred(
        kMhcPost, {},
        {Activation(x, {t, Const(64)}), Activation(DType::kBF16, {t, Const(4), Const(64)}),
         Activation(DType::kF32, {t, Const(4)}), Activation(DType::kF32, {t, Const(4), Const(4)})});
  };
  EXPECT_EQ(infer(DType::kBF16), "BF16 [T, 4, 64]");
  EXPECT_THAT(infer(DType::kF32), HasSubstr("mhc_post x: expected BF16"));
}

TEST(MhcCollapse, HasTheBitsOfTheWrittenOrder) {
  for (const DType type : {DType::kBF16, DType::kF32}) {
    MhcProblem p(3, 4, 37, type);
    Activations out(type, 3 * 37);
    const MhcCollapseArgs args{p.streams.data(), p.comb_in.data(), out.data(), type, 3, 4, 37};
    OnExactRows(MhcCollapseKernels(), args, [&] {
      Activations want(type, 3 * 37);
      for (std::int64_t i = 0; i < want.size(); ++i) {
        const std::int64_t t = i / 37;
        const float* pre = p.comb_in.data() + t * 4;
        float v = pre[0] * p.streams.Get(t * 4 * 37 + i % 37);
        for (std::int64_t j = 1; j < 4; ++j) {
          v = std::fma(pre[j], p.streams.Get((t * 4 + j) * 37 + i % 37), v);
        }
        want.Set(i, v);
      }
      EXPECT_TRUE(out.bytes() == want.bytes());
    });
  }
}

TEST(MhcCollapse, BindsItsOperands) {
  std::vector<float> streams = {1, 2, 3, 4};
  std::vector<float> pre = {10, 1};
  std::vector<float> out(2);
  RunOp(kMhcCollapse, {},
        {Tensor(streams, DType::kF32, {1, 2, 2}), Tensor(pre, DType::kF32, {1, 2})},
        {Tensor(out, DType::kF32, {1, 2})});
  EXPECT_EQ(out[0], 13);
  EXPECT_EQ(out[1], 24);
}

// The head is the collapse with the pre of a site whose first rows are its own.
TEST(MhcHead, IsPreAndCollapseInTheSameTree) {
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const std::int64_t hc : {2, 4, 8}) {
      for (const std::int64_t tokens : {0, 1, 19}) {
        MhcProblem p(tokens, hc, 90, type);
        Activations want(type, tokens * 90);
        Activations out(type, tokens * 90);
        const MhcHeadArgs head{.streams = p.streams.data(),
                               .fn = p.fn.data(),
                               .base = p.base.data(),
                               .scale = p.scale.data(),
                               .out = out.data(),
                               .type = type,
                               .tokens = tokens,
                               .hc = hc,
                               .hidden = 90};
        const MhcCollapseArgs collapse{p.streams.data(), p.pre.data(), want.data(), type,
                                       tokens,           hc,           90};
        ThreadPool pool(2);
        ForEachRow(MhcHeadKernels(), head, [&](const Kernel<MhcHeadArgs>& row) {
          const std::string_view folder = Folder(row.name);
          if (folder == "ref") return;
          RunRow(RowIn(folder, MhcCoeffsKernels()), p.Coeffs(), pool);
          RunRow(RowIn(folder, MhcCollapseKernels()), collapse, pool);
          RunRow(row, head, pool);
          EXPECT_TRUE(out.bytes() == want.bytes());
        });
      }
    }
  }
}

TEST(MhcHead, BindsItsOperands) {
  std::vector<float> streams = {1, 2, 3, 4};
  std::vector<float> fn(8, 0.0f);
  std::vector<float> base = {200, -200};
  std::vector<float> scale = {1};
  std::vector<float> out(2);
  RunOp(kMhcHead, {{"rms_eps", 1e-6}, {"eps", 0.5}},
        {Tensor(streams, DType::kF32, {1, 2, 2}), Tensor(fn, DType::kF32, {2, 4}),
         Tensor(base, DType::kF32, {2}), Tensor(scale, DType::kF32, {1})},
        {Tensor(out, DType::kF32, {1, 2})});
  EXPECT_EQ(out[0], 1.5f * 1 + 0.5f * 3);
  EXPECT_EQ(out[1], 1.5f * 2 + 0.5f * 4);
}

}  // namespace
}  // namespace birkhoff::ops
