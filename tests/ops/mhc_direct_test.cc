// The mHC ops as an engine of its own would call them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/thread_pool.h"
#include "birkhoff/ops/mhc.h"
#include "mhc_problem.h"
#include "ops/tables.h"
#include "tensor/gpu.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kTokens = 9;
constexpr std::int64_t kHc = 4;
constexpr std::int64_t kHidden = 64;

struct Problem : MhcProblem {
  Problem() : MhcProblem(kTokens, kHc, kHidden, DType::kBF16) {}

  Activations streams_out = Activations(DType::kBF16, kTokens* kHc* kHidden);
  Activations h = Activations(DType::kBF16, kTokens* kHidden);

  MhcBoundaryArgs Args() { return Boundary(streams_out, h); }
};

Op<MhcBoundaryArgs> Make(const MhcBoundaryArgs& largest, const OpOptions& options = {}) {
  auto op = Op<MhcBoundaryArgs>::Make(largest, HostDevice(), options);
  if (!op.ok()) {
    ADD_FAILURE() << op.status().ToString();
    std::abort();
  }
  return std::move(*op);
}

// Runs `args` and demands an error with this text in it.
void Refuses(const MhcBoundaryArgs& largest, const MhcBoundaryArgs& args, std::string_view why) {
  const Status status = Make(largest).Run(args, {});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << why;
  EXPECT_THAT(status.message(), HasSubstr(std::string(why)));
  EXPECT_THAT(status.message(), HasSubstr("mhc_boundary: "));
}

TEST(MhcDirect, RunsTheBestKernel) {
  Problem of_op;
  Problem of_row;
  const Op<MhcBoundaryArgs> op = Make(of_op.Args());
  EXPECT_TRUE(op.Prepare(of_op.Args(), {}).ok());
  EXPECT_EQ(op.state_bytes(), 0U);
  ASSERT_TRUE(op.Run(of_op.Args(), {}).ok());
  ThreadPool pool(1);
  for (const Kernel<MhcBoundaryArgs>& row : MhcBoundaryKernels()) {
    if (row.name == op.kernel()) row.run(of_row.Args(), {.pool = &pool});
  }
  EXPECT_EQ(of_op.streams_out.bytes(), of_row.streams_out.bytes());
  EXPECT_EQ(of_op.h.bytes(), of_row.h.bytes());
  EXPECT_EQ(of_op.comb, of_row.comb);
  EXPECT_EQ(op.bits(), "mhc f32");
  int chosen = 0;
  for (const OpConsidered& c : op.considered()) chosen += c.why_not.empty() ? 1 : 0;
  EXPECT_EQ(chosen, 1);
}

TEST(MhcDirect, RunsEveryOp) {
  Problem p;
  Activations out(DType::kBF16, kTokens * kHc * kHidden);
  const MhcBoundaryArgs b = p.Args();
  const auto run = [](const auto& args) {
    const auto op = Op<std::remove_cvref_t<decltype(args)>>::Make(args, HostDevice());
    if (!op.ok()) return op.status();
    return op->Run(args, {});
  };
  const auto expect_ok = [](const Status& status) {
    EXPECT_TRUE(status.ok()) << status.ToString();
  };
  expect_ok(
      run(MhcPostArgs{b.x, b.streams, b.post, b.comb, out.data(), b.type, kTokens, kHc, kHidden}));
  EXPECT_TRUE(run(b).ok());
  EXPECT_EQ(out.bytes(), p.streams_out.bytes());
  expect_ok(run(p.Coeffs()));
  expect_ok(
      run(MhcCollapseArgs{b.streams, p.post_in.data(), p.h.data(), b.type, kTokens, kHc, kHidden}));
  MhcHeadArgs head;
  head.streams = b.streams;
  head.fn = b.site.fn;
  head.base = b.site.base;
  head.scale = b.site.scale;
  head.out = p.h.data();
  head.tokens = kTokens;
  head.hc = kHc;
  head.hidden = kHidden;
  expect_ok(run(head));
  MhcBoundaryShiftedArgs shifted = {b, p.post_in.data()};
  expect_ok(run(shifted));
  shifted.pre = b.pre_out;
  EXPECT_THAT(run(shifted).message(), HasSubstr("mhc_boundary_shifted: pre_out ["));
  MhcTailArgs tail;
  tail.x = b.x;
  tail.streams = b.streams;
  tail.post = b.post;
  tail.comb = b.comb;
  tail.fn = b.site.fn;
  tail.base = b.site.base;
  tail.scale = b.site.scale;
  tail.norm_weight = b.norm_weight;
  tail.streams_out = b.streams_out;
  tail.out = b.h;
  tail.tokens = kTokens;
  tail.hc = kHc;
  tail.hidden = kHidden;
  expect_ok(run(tail));
  tail.norm_weight = nullptr;
  EXPECT_THAT(run(tail).message(), HasSubstr("norm_weight is null"));
}

TEST(MhcDirect, FewerTokensAndNoneAreFine) {
  Problem p;
  const Op<MhcBoundaryArgs> op = Make(p.Args());
  MhcBoundaryArgs a = p.Args();
  a.tokens = 3;
  EXPECT_TRUE(op.Run(a, {}).ok());
  MhcBoundaryArgs none;
  none.hc = kHc;
  none.hidden = kHidden;
  EXPECT_TRUE(op.Run(none, {}).ok());
}

TEST(MhcDirect, MaySetStreamsInPlace) {
  Problem p;
  Problem apart;
  ASSERT_TRUE(Make(apart.Args()).Run(apart.Args(), {}).ok());
  MhcBoundaryArgs a = p.Args();
  a.streams_out = p.streams.data();
  ASSERT_TRUE(Make(a).Run(a, {}).ok());
  EXPECT_EQ(p.streams.bytes(), apart.streams_out.bytes());
  EXPECT_EQ(p.h.bytes(), apart.h.bytes());
}

TEST(MhcDirect, SaysWhatIsWrongWithAPointer) {
  Problem p;
  const MhcBoundaryArgs good = p.Args();
  MhcBoundaryArgs a = good;
  a.comb = nullptr;
  Refuses(good, a, "comb is null, needs 576 bytes");
  a = good;
  a.x = static_cast<const std::byte*>(a.x) + 2;
  Refuses(good, a, "needs a multiple of 16");
  a = good;
  a.h = p.x.data();
  Refuses(good, a, "h [");
  a = good;
  a.streams_out = static_cast<std::byte*>(p.streams.data()) + 16;
  Refuses(good, a, "overlaps streams [");
  a = good;
  a.post_out = p.post_in.data();
  Refuses(good, a, "post_out [");
  a = good;
  a.norm_weight = nullptr;  // means something
  EXPECT_TRUE(Make(good).Run(a, {}).ok());
}

TEST(MhcDirect, SaysWhatIsWrongWithAnExtent) {
  Problem p;
  const MhcBoundaryArgs good = p.Args();
  MhcBoundaryArgs a = good;
  a.tokens = kTokens + 1;
  Refuses(good, a, "was made for T of 9, got 10");
  a = good;
  a.hidden = 32;
  Refuses(good, a, "was made for H of 64, got 32");
  a = good;
  a.layout.x = 72;
  Refuses(good, a, "was made for steps of 0, 0 and 0 of x, tokens and streams, got 72, 0 and 0");
  const auto make = [](const MhcBoundaryArgs& args) {
    return Op<MhcBoundaryArgs>::Make(args, HostDevice()).status();
  };
  a = good;
  a.hc = 3;
  EXPECT_THAT(make(a).message(), HasSubstr("needs hc of 2, 4 or 8, got 3"));
  a = good;
  a.tokens = -1;
  EXPECT_EQ(make(a).code(), StatusCode::kInvalidArgument);
  a = good;
  a.site.iterations = 0;
  EXPECT_THAT(make(a).message(), HasSubstr("needs at least 1, got 0"));
  a = good;
  a.layout.x = 8;
  EXPECT_THAT(make(a).message(), HasSubstr("layout.x"));
}

TEST(MhcDirect, AForcedKernelIsTakenOrSaysWhyNot) {
  Problem p;
  EXPECT_EQ(Make(p.Args(), {.kernel = "ref/mhc_boundary"}).kernel(), "ref/mhc_boundary");
  const auto op =
      Op<MhcBoundaryArgs>::Make(p.Args(), HostDevice(), {.kernel = "cuda/sm90/mhc_boundary"});
  EXPECT_EQ(op.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(op.status().message(), HasSubstr("another is forced"));
}

TEST(MhcDirect, OnAGpuMemoryIsTheCallers) {
  if (FirstGpu().device == nullptr) GTEST_SKIP() << FirstGpu().why_not;
  Problem p;
  const auto op = Op<MhcBoundaryArgs>::Make(p.Args(), *FirstGpu().device);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  EXPECT_GT(op->state_bytes(), 0U);
  EXPECT_GT(op->workspace_bytes(), 0U);
  EXPECT_THAT(op->Prepare(p.Args(), {}).message(), HasSubstr("state is null"));
  EXPECT_THAT(op->Run(p.Args(), {}).message(), HasSubstr("state is null"));
}

}  // namespace
}  // namespace birkhoff::ops
