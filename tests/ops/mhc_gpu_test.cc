// The mHC boundary on a GPU: the same bits whatever else is in the batch, however it is launched.
// That the values are right is held in harness/all_ops_test.cc, against the definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "kernel_rows.h"
#include "kernels/cuda/kernels.h"
#include "mhc_problem.h"
#include "ops/tables.h"
#include "tensor/gpu.h"

namespace birkhoff::ops {
namespace {

constexpr std::int64_t kHc = 4;

std::span<const std::byte> Bytes(const std::vector<float>& v) {
  return std::as_bytes(std::span(v));
}

// Memory on the GPU with the bytes of something.
GpuMemory Upload(std::span<const std::byte> bytes, std::int64_t copies = 1) {
  auto memory = GpuMemory::Make(bytes.size() * static_cast<std::size_t>(copies));
  if (!memory.ok()) {
    ADD_FAILURE() << memory.status().message();
    return {};
  }
  GpuMemory m = std::move(*memory);
  for (std::int64_t i = 0; i < copies; ++i)
    EXPECT_TRUE(CopyToGpu(bytes, m.data() + static_cast<std::size_t>(i) * bytes.size()).ok());
  return m;
}

template <class T>
T* As(const GpuMemory& m) {
  return reinterpret_cast<T*>(m.data());
}

// What a boundary wrote for some tokens, token by token.
struct Rows {
  std::vector<std::byte> bytes = {};
  std::size_t row = 0;

  std::int64_t tokens() const { return static_cast<std::int64_t>(bytes.size() / row); }
  std::span<const std::byte> At(std::int64_t token) const {
    return std::span(bytes).subspan(static_cast<std::size_t>(token) * row, row);
  }
  // The first token from `begin` on that differs from other's, counted from other_begin; -1: none.
  std::int64_t FirstOther(std::int64_t begin, const Rows& other, std::int64_t other_begin) const {
    for (std::int64_t t = 0; begin + t < tokens(); ++t) {
      const auto a = At(begin + t);
      if (!std::equal(a.begin(), a.end(), other.At(other_begin + t).begin())) return t;
    }
    return -1;
  }
};

// A problem whose tokens can be run in any piece. `copies`: the same tokens so many times.
class OnGpu {
 public:
  explicit OnGpu(const MhcProblem& p, std::int64_t copies = 1, Fp8Format fp8 = {})
      : fp8_(fp8),
        tokens_(p.tokens * copies),
        hidden_(p.hidden),
        constants_(p.constants),
        x_(Upload(p.x.bytes(), copies)),
        streams_(Upload(p.streams.bytes(), copies)),
        post_(Upload(Bytes(p.post_in), copies)),
        comb_(Upload(Bytes(p.comb_in), copies)),
        fn_(Upload(Bytes(p.fn))),
        base_(Upload(Bytes(p.base))),
        scale_(Upload(Bytes(p.scale))),
        norm_(Upload(Bytes(p.norm))) {
    out_ = Upload(Poison(p.tokens * RowBytes()), copies);
  }

  std::int64_t tokens() const { return tokens_; }
  bool strict = false;
  bool normed = true;
  float norm_eps = 1e-6f;

  // Bytes of everything a token's boundary writes.
  std::int64_t RowBytes() const {
    const auto columns = Columns();
    return std::accumulate(columns.begin(), columns.end(), std::int64_t{0});
  }

  MhcBoundaryArgs Args(std::int64_t begin, std::int64_t count) const {
    MhcBoundaryArgs a;
    a.x = As<bf16>(x_) + begin * hidden_;
    a.streams = As<bf16>(streams_) + begin * kHc * hidden_;
    a.post = As<float>(post_) + begin * kHc;
    a.comb = As<float>(comb_) + begin * kHc * kHc;
    a.site = constants_;
    a.site.fn = As<float>(fn_);
    a.site.base = As<float>(base_);
    a.site.scale = As<float>(scale_);
    a.norm_weight = normed ? As<float>(norm_) : nullptr;
    a.strict = strict;
    a.norm_eps = norm_eps;
    std::byte* out = out_.data();
    const auto next = [&](std::int64_t bytes) {
      std::byte* p = out;
      out += bytes * tokens_;
      return p;
    };
    a.streams_out = next(hidden_ * 2 * kHc);
    a.h = next(hidden_ * 2);
    a.comb_out = reinterpret_cast<float*>(next(4 * kHc * kHc));
    a.pre_out = reinterpret_cast<float*>(next(4 * kHc));
    a.post_out = reinterpret_cast<float*>(next(4 * kHc));
    if (fp8_.group != 0)
      a.fp8 = {.data = next(hidden_), .scale = next(hidden_ / 32), .format = fp8_};
    a.tokens = count;
    a.hc = kHc;
    a.hidden = hidden_;
    return a;
  }

  // Scratch and state of a row for all tokens; run it with Exec().
  void Prepare(const Kernel<MhcBoundaryArgs>& row) {
    const MhcBoundaryArgs a = Args(0, tokens_);
    scratch_ =
        Upload(Poison(row.scratch != nullptr ? static_cast<std::int64_t>(row.scratch(a, 1)) : 0));
    state_ = Upload(Poison(row.state != nullptr ? static_cast<std::int64_t>(row.state(a)) : 0));
    if (row.prepare != nullptr) row.prepare(a, exec());
    Wait();
  }
  // Leaves nothing of an earlier run where one of `count` tokens writes or keeps its sums.
  void Forget(std::int64_t count) {
    std::byte* begin = out_.data();
    for (const std::int64_t bytes : Columns()) {
      EXPECT_TRUE(CopyToGpu(Poison(bytes * count), begin).ok());
      begin += bytes * tokens_;
    }
    const auto scratch = static_cast<std::int64_t>(scratch_.size()) / tokens_ * count;
    EXPECT_TRUE(CopyToGpu(Poison(scratch), scratch_.data()).ok());
  }
  static void Wait() {
    const Status status = GpuWait();
    EXPECT_TRUE(status.ok()) << status.message();
  }
  Exec exec(void* stream = nullptr) const {
    return {.pool = nullptr, .scratch = scratch_.data(), .state = state_.data(), .stream = stream};
  }

  // What the first `count` rows of the outputs hold, from `from` on.
  Rows Fetch(std::int64_t count, std::int64_t from = 0) const {
    Wait();
    Rows rows{{}, static_cast<std::size_t>(RowBytes())};
    rows.bytes.resize(static_cast<std::size_t>(count) * rows.row);
    std::size_t column = 0;
    const std::byte* begin = out_.data();
    for (const std::int64_t bytes : Columns()) {
      std::vector<std::byte> part(static_cast<std::size_t>(bytes * count));
      EXPECT_TRUE(CopyFromGpu(begin + bytes * from, part).ok());
      for (std::int64_t t = 0; t < count; ++t)
        std::memcpy(rows.bytes.data() + static_cast<std::size_t>(t) * rows.row + column,
                    part.data() + t * bytes, static_cast<std::size_t>(bytes));
      column += static_cast<std::size_t>(bytes);
      begin += bytes * tokens_;
    }
    return rows;
  }

  // The streams that the boundary read, as they are now.
  std::vector<std::byte> Streams(std::int64_t count) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(count * hidden_ * 2 * kHc));
    EXPECT_TRUE(CopyFromGpu(streams_.data(), bytes).ok());
    return bytes;
  }

 private:
  static std::vector<std::byte> Poison(std::int64_t bytes) {
    return std::vector<std::byte>(static_cast<std::size_t>(bytes), std::byte{0xff});
  }
  // Bytes of a token in each output: streams, h, comb, pre, post, FP8 and its scales. Those are as
  // many, whether a byte for each 32 or a float for each 128.
  std::array<std::int64_t, 7> Columns() const {
    const std::int64_t of_fp8 = fp8_.group == 0 ? 0 : hidden_;
    return {hidden_ * 2 * kHc, hidden_ * 2, 4 * kHc * kHc, 4 * kHc, 4 * kHc, of_fp8, of_fp8 / 32};
  }

  Fp8Format fp8_ = {};
  std::int64_t tokens_ = 0;
  std::int64_t hidden_ = 0;
  MhcSite constants_ = {};
  GpuMemory x_, streams_, post_, comb_, fn_, base_, scale_, norm_, out_, scratch_, state_;
};

const Kernel<MhcBoundaryArgs>& Row(std::string_view name) {
  for (const Kernel<MhcBoundaryArgs>& row : MhcBoundaryKernels()) {
    if (row.name == name) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return MhcBoundaryKernels().back();
}

constexpr std::string_view kHopper = "cuda/sm90/mhc_boundary";
constexpr std::string_view kTwin = "cuda/sm80/mhc_boundary";
constexpr std::string_view kPortable = "gpu/mhc_boundary";

constexpr Fp8Format kFormats[] = {{}, {32, Fp8Scale::kE8M0}, {128, Fp8Scale::kF32}};

Rows RunOn(OnGpu& gpu, std::string_view name, std::int64_t begin, std::int64_t count) {
  gpu.Forget(count);
  Row(name).run(gpu.Args(begin, count), gpu.exec());
  return gpu.Fetch(count);
}

class MhcOnHopper : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override {
    if (FirstGpu().device == nullptr) GTEST_SKIP() << FirstGpu().why_not;
    const MhcProblem p(1, kHc, GetParam(), DType::kBF16);
    const Refusal refusal = WhyNot(Row(kHopper), OnGpu(p).Args(0, 1), *FirstGpu().device);
    if (refusal) GTEST_SKIP() << refusal.why();
  }
  MhcProblem Problem(std::int64_t tokens) const {
    return MhcProblem(tokens, kHc, GetParam(), DType::kBF16, 7);
  }
};

// Every position of a tile, batches of all forms.
TEST_P(MhcOnHopper, ARowIsTheSameInAnyBatch) {
  OnGpu gpu(Problem(1000));
  gpu.Prepare(Row(kHopper));
  const Rows all = RunOn(gpu, kHopper, 0, 1000);
  for (std::int64_t tokens = 1; tokens <= 130; tokens += tokens < 20 ? 1 : 7) {
    const std::int64_t begin = 1 + tokens * 5 % 97;
    EXPECT_EQ(RunOn(gpu, kHopper, begin, tokens).FirstOther(0, all, begin), -1) << "T=" << tokens;
  }
  for (std::int64_t begin = 0; begin < 17; ++begin)
    EXPECT_EQ(RunOn(gpu, kHopper, begin, 1).FirstOther(0, all, begin), -1) << "row " << begin;
  EXPECT_EQ(RunOn(gpu, kHopper, 301, 699).FirstOther(0, all, 301), -1);
}

TEST_P(MhcOnHopper, HasTheBitsOfItsTwin) {
  for (const Fp8Format fp8 : kFormats) {
    for (const bool strict : {false, true}) {
      OnGpu gpu(Problem(400), 1, fp8);
      gpu.strict = strict;
      gpu.Prepare(Row(kHopper));
      const Rows hopper = RunOn(gpu, kHopper, 0, 400);
      const Rows few = RunOn(gpu, kHopper, 0, 21);
      const Rows more = RunOn(gpu, kHopper, 0, 101);
      gpu.Prepare(Row(kTwin));
      const Rows twin = RunOn(gpu, kTwin, 0, 400);
      SCOPED_TRACE("strict " + std::to_string(strict) + ", FP8 " + std::to_string(fp8.group));
      EXPECT_EQ(hopper.FirstOther(0, twin, 0), -1);
      EXPECT_EQ(few.FirstOther(0, twin, 0), -1);
      EXPECT_EQ(more.FirstOther(0, twin, 0), -1);
    }
  }
}

// FP8 alone has the bytes of FP8 beside bf16, also where h is not normed.
TEST_P(MhcOnHopper, WritesFp8Alone) {
  for (const std::string_view name : {kHopper, kTwin, kPortable}) {
    for (const Fp8Format fp8 : kFormats) {
      if (fp8.group == 0) continue;
      OnGpu gpu(Problem(400), 1, fp8);
      gpu.normed = fp8.group == 32;
      gpu.Prepare(Row(name));
      for (const std::int64_t tokens : {7, 60, 400}) {
        const Rows both = RunOn(gpu, name, 0, tokens);
        gpu.Forget(tokens);
        MhcBoundaryArgs a = gpu.Args(0, tokens);
        a.h = nullptr;
        Row(name).run(a, gpu.exec());
        const Rows alone = gpu.Fetch(tokens);
        const auto of_fp8 = static_cast<std::ptrdiff_t>(GetParam() + GetParam() / 32);
        for (std::int64_t t = 0; t < tokens; ++t) {
          EXPECT_TRUE(
              std::equal(both.At(t).end() - of_fp8, both.At(t).end(), alone.At(t).end() - of_fp8))
              << name << " T=" << tokens << " row " << t << " FP8 " << fp8.group;
        }
      }
    }
  }
}

// Logits that would overflow without the largest of a row subtracted; one column step, where what
// eps adds is all that small elements are.
TEST_P(MhcOnHopper, ExtremeLogits) {
  std::vector<float> logits;
  for (int i = 0; i < 16; ++i) logits.push_back(static_cast<float>(i * 37 % 16) * 40 - 300);
  const auto problem = [&](std::int64_t tokens) {
    MhcProblem p = Problem(tokens);
    p.FeedLogits(logits);
    p.constants.iterations = 1;
    return p;
  };
  MhcProblem one = problem(1);
  ThreadPool pool(1);
  RunRow(RowIn("cpu/generic", MhcCoeffsKernels()), one.Coeffs(), pool);
  for (const std::string_view name : {kHopper, kTwin}) {
    for (const std::int64_t tokens : {9, 60, 400}) {
      OnGpu gpu(problem(tokens));
      gpu.Prepare(Row(name));
      const Rows got = RunOn(gpu, name, 0, tokens);
      for (std::int64_t t = 0; t < tokens; t += 3) {
        const auto* comb =
            reinterpret_cast<const float*>(got.At(t).data() + GetParam() * 2 * (kHc + 1));
        for (std::size_t i = 0; i < 16; ++i)
          EXPECT_NEAR(comb[i] / one.comb[i], 1, 1e-4) << name << " T=" << tokens << " row " << t;
      }
    }
  }
}

TEST_P(MhcOnHopper, TheOpGivesTheBitsOfItsKernel) {
  OnGpu gpu(Problem(100));
  gpu.Prepare(Row(kHopper));
  const Rows want = RunOn(gpu, kHopper, 0, 100);
  const MhcBoundaryArgs args = gpu.Args(0, 100);
  const auto op = Op<MhcBoundaryArgs>::Make(args, *FirstGpu().device);
  ASSERT_TRUE(op.ok()) << op.status().ToString();
  EXPECT_EQ(op->kernel(), kHopper);
  const auto state = GpuMemory::Make(op->state_bytes());
  const auto workspace = GpuMemory::Make(op->workspace_bytes());
  ASSERT_TRUE(state.ok() && workspace.ok());
  const OpMemory memory = {state->data(), workspace->data(), nullptr};
  gpu.Forget(100);
  EXPECT_TRUE(op->Prepare(args, memory).ok());
  const Status run = op->Run(args, memory);
  EXPECT_TRUE(run.ok()) << run.ToString();
  EXPECT_EQ(gpu.Fetch(100).FirstOther(0, want, 0), -1);
}

// However many clusters or groups share the work.
TEST_P(MhcOnHopper, AnyLaunchGivesTheSameBits) {
  using cuda::sm90::BoundaryForm;
  // Strict: no row is finished on the way, and more of them a block than are balanced together.
  for (const auto& [strict, fp8] : {std::pair{false, kFormats[0]},
                                    {true, kFormats[0]},
                                    {false, kFormats[1]},
                                    {false, kFormats[2]},
                                    {true, kFormats[2]}}) {
    OnGpu gpu(Problem(600), 1, fp8);
    gpu.strict = strict;
    gpu.Prepare(Row(kHopper));
    const Rows want = RunOn(gpu, kHopper, 0, 600);
    const std::int64_t most = cuda::sm90::PlanMhcBoundary(GetParam(), 4096).teams;
    for (const BoundaryForm form :
         {BoundaryForm::kCluster, BoundaryForm::kGroups, BoundaryForm::kRing}) {
      for (std::int64_t teams = 1; teams <= (form == BoundaryForm::kGroups ? 8 : most); ++teams) {
        for (const std::int64_t tokens : {3, 600}) {
          gpu.Forget(tokens);
          cuda::sm90::MhcBoundaryAs({form, std::min(teams, (tokens + 7) / 8)}, gpu.Args(0, tokens),
                                    gpu.exec());
          EXPECT_EQ(gpu.Fetch(tokens).FirstOther(0, want, 0), -1)
              << "form " << static_cast<int>(form) << ", teams " << teams << ", T " << tokens
              << ", strict " << strict << ", FP8 " << fp8.group;
        }
      }
    }
  }
}

// A thousand runs in graphs, in all forms, each over what another left in its state.
TEST_P(MhcOnHopper, AGraphGivesTheBitsOfALaunch) {
  OnGpu gpu(Problem(600));
  gpu.Prepare(Row(kHopper));
  for (const std::int64_t tokens : {5, 60, 130, 599}) {
    const Rows want = RunOn(gpu, kHopper, 0, tokens);
    const auto enqueue = [&](void* stream) {
      for (int i = 0; i < 50; ++i)  // the last at 0
        Row(kHopper).run(gpu.Args(i % 2 == 0 ? 600 - tokens : 0, tokens), gpu.exec(stream));
    };
    gpu.Forget(tokens);
    EXPECT_TRUE(TimeGraph(enqueue, 20).ok());
    EXPECT_EQ(gpu.Fetch(tokens).FirstOther(0, want, 0), -1) << "T=" << tokens;
  }
}

// Twenty boundaries that feed each other, each launched before the one before it has ended, against
// the same with a wait between: what a launch reads too early shows here.
TEST_P(MhcOnHopper, AChainWaitsForWhatItReads) {
  for (const std::int64_t tokens : {5, 60, 130, 500}) {
    OnGpu even(Problem(tokens));
    OnGpu odd(Problem(tokens));
    even.Prepare(Row(kHopper));
    const auto step = [&](int i, void* stream) {
      MhcBoundaryArgs a = (i % 2 == 0 ? even : odd).Args(0, tokens);
      if (i > 0) {
        const MhcBoundaryArgs before = (i % 2 == 0 ? odd : even).Args(0, tokens);
        a.streams = before.streams_out;
        a.post = before.post_out;
        a.comb = before.comb_out;
      }
      Row(kHopper).run(a, even.exec(stream));
    };
    for (int i = 0; i < 20; ++i) {
      step(i, nullptr);
      OnGpu::Wait();
    }
    const Rows want = odd.Fetch(tokens);
    const Rows want_before = even.Fetch(tokens);
    even.Forget(tokens);
    odd.Forget(tokens);
    EXPECT_TRUE(TimeGraph(
                    [&](void* stream) {
                      for (int i = 0; i < 20; ++i) step(i, stream);
                    },
                    3)
                    .ok());
    EXPECT_EQ(odd.Fetch(tokens).FirstOther(0, want, 0), -1) << "T=" << tokens;
    EXPECT_EQ(even.Fetch(tokens).FirstOther(0, want_before, 0), -1) << "T=" << tokens;
  }
}

TEST_P(MhcOnHopper, WorksInPlace) {
  for (const std::string_view name : {kHopper, kTwin}) {
    for (const std::int64_t tokens : {11, 100, 400}) {
      OnGpu gpu(Problem(tokens));
      gpu.Prepare(Row(name));
      const Rows want = RunOn(gpu, name, 0, tokens);
      gpu.Forget(tokens);
      MhcBoundaryArgs a = gpu.Args(0, tokens);
      a.streams_out = const_cast<void*>(a.streams);
      Row(name).run(a, gpu.exec());
      const Rows got = gpu.Fetch(tokens);
      const auto of_streams = static_cast<std::size_t>(GetParam() * 2 * kHc);
      const std::vector<std::byte> streams = gpu.Streams(tokens);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const auto row = want.At(t);
        EXPECT_TRUE(std::equal(row.begin() + static_cast<std::ptrdiff_t>(of_streams), row.end(),
                               got.At(t).begin() + static_cast<std::ptrdiff_t>(of_streams)))
            << name << " row " << t;
        EXPECT_TRUE(std::equal(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(of_streams),
                               streams.begin() + t * static_cast<std::ptrdiff_t>(of_streams)))
            << name << " streams of row " << t;
      }
    }
  }
}

// streams, pre, post and comb are those of the parts; without a norm h is the collapsed vector.
TEST_P(MhcOnHopper, HasTheBitsOfItsParts) {
  for (const std::int64_t tokens : {13, 100, 400}) {
    OnGpu gpu(Problem(tokens));
    gpu.normed = false;
    gpu.Prepare(Row(kHopper));
    const Rows fused = RunOn(gpu, kHopper, 0, tokens);
    gpu.Prepare(Row(kTwin));  // the scratch of its parts
    gpu.Forget(tokens);
    const MhcBoundaryArgs a = gpu.Args(0, tokens);
    cuda::sm80::MhcPost(
        {a.x, a.streams, a.post, a.comb, a.streams_out, a.type, tokens, kHc, a.hidden}, gpu.exec());
    cuda::sm80::MhcCoeffs(
        {a.streams_out, a.site, a.pre_out, a.post_out, a.comb_out, a.type, tokens, kHc, a.hidden},
        gpu.exec());
    cuda::sm80::MhcCollapse({a.streams_out, a.pre_out, a.h, a.type, tokens, kHc, a.hidden},
                            gpu.exec());
    EXPECT_EQ(gpu.Fetch(tokens).FirstOther(0, fused, 0), -1) << "T=" << tokens;
  }
}

TEST_P(MhcOnHopper, NanAndInfStayInTheirRow) {
  for (const std::int64_t tokens : {11, 90, 400}) {
    const MhcProblem clean = Problem(tokens);
    OnGpu of_clean(clean, 1, kFormats[2]);
    of_clean.Prepare(Row(kHopper));
    const Rows want = RunOn(of_clean, kHopper, 0, tokens);
    for (std::int64_t bad = 0; bad < std::min<std::int64_t>(tokens, 9); ++bad) {
      MhcProblem p = clean;
      const float value = bad % 3 == 0 ? std::nanf("") : bad % 3 == 1 ? HUGE_VALF : -HUGE_VALF;
      const auto row = static_cast<std::size_t>(bad);
      switch (bad % 4) {
        case 0: p.x.Set(bad * p.hidden + 77, value); break;
        case 1: p.streams.Set((bad * kHc + 2) * p.hidden + 1029, value); break;
        case 2: p.post_in[row * kHc + 1] = value; break;
        default: p.comb_in[row * kHc * kHc + 6] = value;
      }
      OnGpu gpu(p, 1, kFormats[2]);
      gpu.Prepare(Row(kHopper));
      const Rows got = RunOn(gpu, kHopper, 0, tokens);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const auto a = got.At(t);
        if (t != bad) {
          EXPECT_TRUE(std::equal(a.begin(), a.end(), want.At(t).begin())) << t << " beside " << bad;
        }
      }
    }
  }
}

// Streams that cancel in v: the products of streams say too little there, v itself must be summed,
// in some rows of a tile and not in others. With fn = 0 pre is the same for all streams.
TEST_P(MhcOnHopper, CancellingStreamsAreSummedThemselves) {
  for (const std::int64_t tokens : {13, 140, 400}) {
    MhcProblem p = Problem(tokens);
    std::fill(p.fn.begin(), p.fn.end(), 0.0f);
    std::fill(p.base.begin(), p.base.end(), 0.0f);
    std::fill(p.post_in.begin(), p.post_in.end(), 0.0f);
    std::fill(p.comb_in.begin(), p.comb_in.end(), 0.0f);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t j = 0; j < kHc; ++j)
        p.comb_in[static_cast<std::size_t>((t * kHc + j) * kHc + j)] = 1;
      if (t % 3 == 0) continue;
      for (std::int64_t c = 0; c < p.hidden; ++c) {
        const auto at = [&](std::int64_t j) { return (t * kHc + j) * p.hidden + c; };
        const float tiny = c % 5 == 0 ? 1.0078125f : 1.0f;
        p.streams.Set(at(1), -p.streams.Get(at(0)) * tiny);
        p.streams.Set(at(3), -p.streams.Get(at(2)));
      }
    }
    OnGpu gpu(p, 1, kFormats[2]);
    gpu.norm_eps = 1e-12f;
    gpu.Prepare(Row(kHopper));
    const Rows hopper = RunOn(gpu, kHopper, 0, tokens);
    gpu.Prepare(Row(kTwin));
    EXPECT_EQ(hopper.FirstOther(0, RunOn(gpu, kTwin, 0, tokens), 0), -1);
    // The mean square of h / weight is 1 whatever v is.
    for (const std::int64_t t : {0, 1, 11}) {
      const auto* h = reinterpret_cast<const bf16*>(hopper.At(t).data() + p.hidden * 2 * kHc);
      double sum = 0;
      for (std::int64_t c = 0; c < p.hidden; ++c) {
        const double v = static_cast<float>(h[c]) / p.norm[static_cast<std::size_t>(c)];
        sum += v * v;
      }
      EXPECT_NEAR(sum / static_cast<double>(p.hidden), 1, 5e-3) << "row " << t;
    }
  }
}

// The mixes against float64 on the kernel's own X'. They are no output, but with base 0 and scale 1
// post = 2 sigmoid(m) gives them back to 5e-7. TF32 would be 4e-4 off.
TEST_P(MhcOnHopper, MixesAreAsFineAsTwoBf16) {
  constexpr std::int64_t kTokens = 80;
  MhcProblem p = Problem(kTokens);
  std::fill(p.base.begin(), p.base.end(), 0.0f);
  std::fill(p.scale.begin(), p.scale.end(), 1.0f);
  OnGpu gpu(p);
  gpu.Prepare(Row(kHopper));
  const Rows rows = RunOn(gpu, kHopper, 0, kTokens);
  const std::int64_t k = kHc * p.hidden;
  double sum = 0;
  double worst = 0;
  for (std::int64_t t = 0; t < kTokens; ++t) {
    const auto row = rows.At(t);
    const auto* mixed = reinterpret_cast<const bf16*>(row.data());
    const auto* post = reinterpret_cast<const float*>(row.data() + row.size()) - kHc;
    double squares = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      const double x = static_cast<float>(mixed[i]);
      squares += x * x;
    }
    const double rs = 1 / std::sqrt(squares / static_cast<double>(k) + p.constants.rms_eps);
    for (std::int64_t j = 0; j < kHc; ++j) {
      double dot = 0;
      for (std::int64_t i = 0; i < k; ++i)
        dot += p.fn[static_cast<std::size_t>((kHc + j) * k + i)] *
               static_cast<double>(static_cast<float>(mixed[i]));
      const double s = post[j] / 2.0;
      const double error = std::abs(std::log(s / (1 - s)) - dot * rs);
      sum += error;
      worst = std::max(worst, error);
    }
  }
  EXPECT_LE(sum / static_cast<double>(kTokens * kHc), 6e-6) << "worst " << worst;
}

// 4 H T beyond 2^31 at H = 7168: the same thousand tokens eighty times over.
TEST_P(MhcOnHopper, ManyTokensAreTheSameAsFew) {
  OnGpu few(Problem(1000));
  few.Prepare(Row(kHopper));
  const Rows want = RunOn(few, kHopper, 0, 1000);
  OnGpu many(Problem(1000), 80);
  many.Prepare(Row(kHopper));
  Row(kHopper).run(many.Args(0, many.tokens()), many.exec());
  for (const std::int64_t part : {0, 41, 74, 75, 79})
    EXPECT_EQ(many.Fetch(1000, part * 1000).FirstOther(0, want, 0), -1) << "part " << part;
  // The launch after it sees nothing of it.
  EXPECT_EQ(RunOn(many, kHopper, 0, 3).FirstOther(0, want, 0), -1);
}

INSTANTIATE_TEST_SUITE_P(Widths, MhcOnHopper, testing::Values(4096, 5120, 7168));

}  // namespace
}  // namespace birkhoff::ops
