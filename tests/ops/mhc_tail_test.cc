#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
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
  Activations out = {};
};

MhcTailArgs Args(MhcProblem& p, void* streams_out, void* out) {
  MhcTailArgs a;
  a.x = p.x.data();
  a.streams = p.streams.data();
  a.post = p.post_in.data();
  a.comb = p.comb_in.data();
  a.fn = p.fn.data();  // the first hc rows
  a.base = p.base.data();
  a.scale = p.scale.data();
  a.norm_weight = p.norm.data();
  a.streams_out = streams_out;
  a.out = out;
  a.type = p.type;
  a.tokens = p.tokens;
  a.hc = p.hc;
  a.hidden = p.hidden;
  return a;
}

Result OneAfterAnother(std::string_view folder, MhcProblem p, ThreadPool& pool) {
  Result r{Activations(p.type, p.streams.size()), Activations(p.type, p.x.size())};
  const MhcPostArgs post{p.x.data(),       p.streams.data(), p.post_in.data(), p.comb_in.data(),
                         r.streams.data(), p.type,           p.tokens,         p.hc,
                         p.hidden};
  RunRow(RowIn(folder, MhcPostKernels()), post, pool);
  Activations v(p.type, p.x.size());
  const MhcHeadArgs head{.streams = r.streams.data(),
                         .fn = p.fn.data(),
                         .base = p.base.data(),
                         .scale = p.scale.data(),
                         .out = v.data(),
                         .type = p.type,
                         .tokens = p.tokens,
                         .hc = p.hc,
                         .hidden = p.hidden};
  RunRow(RowIn(folder, MhcHeadKernels()), head, pool);
  const RmsNormArgs norm{.x = v.data(),
                         .weight = p.norm.data(),
                         .out = r.out.data(),
                         .x_type = p.type,
                         .out_type = p.type,
                         .rows = p.tokens,
                         .width = p.hidden,
                         .eps = 1e-6f};
  RunRow(RowIn(folder, RmsNormKernels()), norm, pool);
  return r;
}

TEST(MhcTail, HasTheBitsOfItsPartsOneAfterAnother) {
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const std::int64_t hc : {2, 4, 8}) {
      for (const std::int64_t tokens : {0, 1, 19}) {
        MhcProblem p(tokens, hc, 90, type, 3);
        Result r{Activations(type, p.streams.size()), Activations(type, p.x.size())};
        const MhcTailArgs a = Args(p, r.streams.data(), r.out.data());
        ForEachRow(MhcTailKernels(), a, [&](const Kernel<MhcTailArgs>& row) {
          for (const int threads : {1, 3}) {
            ThreadPool pool(threads);
            RunRow(row, a, pool);
            const Result want = OneAfterAnother(Folder(row.name), p, pool);
            EXPECT_TRUE(r.streams.bytes() == want.streams.bytes()) << threads << " threads";
            EXPECT_TRUE(r.out.bytes() == want.out.bytes()) << threads << " threads";
          }
        });
      }
    }
  }
}

TEST(MhcTail, WorksInPlace) {
  ThreadPool pool(2);
  const MhcProblem problem(18, 4, 64, DType::kBF16);
  MhcProblem p = problem;
  Activations out(p.type, p.x.size());
  ForEachRow(MhcTailKernels(), Args(p, p.streams.data(), out.data()),
             [&](const Kernel<MhcTailArgs>& row) {
               p = problem;
               RunRow(row, Args(p, p.streams.data(), out.data()), pool);
               const Result want = OneAfterAnother(Folder(row.name), problem, pool);
               EXPECT_TRUE(p.streams.bytes() == want.streams.bytes());
               EXPECT_TRUE(out.bytes() == want.out.bytes());
             });
}

TEST(MhcTail, NanStaysInItsRow) {
  constexpr std::int64_t kTokens = 17;
  const MhcProblem clean(kTokens, 4, 24, DType::kBF16);
  ThreadPool pool(1);
  for (const std::int64_t bad : {0, 7, 8, 16}) {
    MhcProblem p = clean;
    p.streams.Set(bad * 96 + 50, std::nanf(""));
    Result r{Activations(p.type, p.streams.size()), Activations(p.type, p.x.size())};
    const MhcTailArgs a = Args(p, r.streams.data(), r.out.data());
    ForEachRow(MhcTailKernels(), a, [&](const Kernel<MhcTailArgs>& row) {
      RunRow(row, a, pool);
      const Result want = OneAfterAnother(Folder(row.name), clean, pool);
      for (std::int64_t i = 0; i < kTokens * 24; ++i) {
        if (i / 24 != bad) {
          EXPECT_EQ(r.out.Get(i), want.out.Get(i)) << i / 24 << " beside " << bad;
        }
      }
      EXPECT_TRUE(std::isnan(r.out.Get(bad * 24)));
    });
  }
}

// With fn = 0 and a base that closes all streams but one, the tail is the norm of that new stream.
TEST(MhcTail, BindsItsOperands) {
  std::vector<float> x = {1, -1};
  std::vector<float> streams = {3, 4, 30, 40};
  std::vector<float> post = {2, 0};
  std::vector<float> comb = {1, 0, 0, 1};  // the identity
  std::vector<float> fn(8, 0.0f);
  std::vector<float> base = {200, -200};
  std::vector<float> scale = {1};
  std::vector<float> norm = {1, 10};
  std::vector<float> streams_out(4);
  std::vector<float> out(2);
  RunOp(kMhcTail, {{"rms_eps", 1e-6}, {"eps", 0.0}, {"norm_eps", 0.0}},
        {Tensor(x, DType::kF32, {1, 2}), Tensor(streams, DType::kF32, {1, 2, 2}),
         Tensor(post, DType::kF32, {1, 2}), Tensor(comb, DType::kF32, {1, 2, 2}),
         Tensor(fn, DType::kF32, {2, 4}), Tensor(base, DType::kF32, {2}),
         Tensor(scale, DType::kF32, {1}), Tensor(norm, DType::kF32, {2})},
        {Tensor(streams_out, DType::kF32, {1, 2, 2}), Tensor(out, DType::kF32, {1, 2})});
  EXPECT_THAT(streams_out, testing::ElementsAre(5, 2, 30, 40));
  const double rs = 1 / std::sqrt((25.0 + 4.0) / 2);
  EXPECT_NEAR(out[0], 5 * rs, 1e-6);
  EXPECT_NEAR(out[1], 2 * rs * 10, 1e-5);
}

TEST(MhcTail, InfersAndRefuses) {
  const Extent r{1, Symbol::kRows};
  const auto vector = [](std::vector<Extent> shape) {
    return ValueType{Kind::kVector, DType::kF32, std::move(shape)};
  };
  const auto infer = [&](std::int64_t rows_of_fn) {
    return Inferred(
        kMhcTail, {},
        {Activation(DType::kBF16, {r, Const(64)}),
         Activation(DType::kBF16, {r, Const(4), Const(64)}), Activation(DType::kF32, {r, Const(4)}),
         Activation(DType::kF32, {r, Const(4), Const(4)}), vector({Const(rows_of_fn), Const(256)}),
         vector({Const(4)}), vector({Const(1)}), vector({Const(64)})});
  };
  EXPECT_EQ(infer(4), "BF16 [R, 4, 64]; BF16 [R, 64]");
  EXPECT_THAT(infer(24), HasSubstr("mhc_tail fn: expected [4, 256]"));
}

}  // namespace
}  // namespace birkhoff::ops
