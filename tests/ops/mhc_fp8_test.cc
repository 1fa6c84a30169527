// h of the boundaries in FP8, on every row of the CPU: the bytes that follow from h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernel_rows.h"
#include "kernels/args/fp8.h"
#include "mhc_problem.h"
#include "ops/tables.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

constexpr Fp8Format kFormats[] = {
    {32, Fp8Scale::kE8M0}, {128, Fp8Scale::kF32}, {128, Fp8Scale::kPowerOfTwo}};

// Room for h in FP8, poisoned.
struct Fp8Memory {
  std::vector<std::uint8_t> data = {};
  std::vector<std::byte> scale = {};
  Fp8Rows rows = {};

  Fp8Memory(const MhcProblem& p, Fp8Format format, std::int64_t scale_row = 0,
            std::int64_t scale_group = 0)
      : data(static_cast<std::size_t>(p.tokens * p.hidden), 0xaa),
        scale(4096, std::byte{0xaa}),
        rows{data.data(), scale.data(), format, scale_row, scale_group} {}

  bool operator==(const Fp8Memory& o) const { return data == o.data && scale == o.scale; }
};

// What the quantiser makes of rows of bf16.
Fp8Memory Quantised(const MhcProblem& p, const Activations& h, const Fp8Rows& like) {
  Fp8Memory to(p, like.format, like.scale_row, like.scale_group);
  const Fp8Rows rows = fp8::WithSteps(to.rows, p.hidden);
  const std::int64_t group = rows.format.group;
  for (std::int64_t t = 0; t < p.tokens; ++t) {
    for (std::int64_t begin = 0; begin < p.hidden; begin += group) {
      const std::int64_t end = std::min(begin + group, p.hidden);
      float largest = 0;
      for (std::int64_t i = begin; i < end; ++i)
        largest = fp8::Larger(largest, h.Get(t * p.hidden + i));
      const float s = fp8::ScaleOf(largest, rows.format);
      for (std::int64_t i = begin; i < end; ++i)
        to.data[static_cast<std::size_t>(t * p.hidden + i)] =
            fp8::E4m3(h.Get(t * p.hidden + i) / s);
      fp8::PutScale(rows, t, begin / group, s);
    }
  }
  return to;
}

// Runs the boundary on every row of the CPU; f(h, FP8) looks at what came.
template <class F>
void ForEveryRow(const MhcProblem& problem, Fp8Format format, bool with_h, F f,
                 std::int64_t scale_row = 0, std::int64_t scale_group = 0) {
  ThreadPool pool(2);
  MhcProblem p = problem;
  Activations streams(p.type, p.streams.size());
  Activations h(p.type, p.x.size());
  MhcBoundaryArgs a = p.Boundary(streams, h);
  a.fp8.format = format;
  ForEachRow(MhcBoundaryKernels(), a, [&](const Kernel<MhcBoundaryArgs>& row) {
    Fp8Memory to(p, format, scale_row, scale_group);
    a.fp8 = to.rows;
    a.h = with_h ? h.data() : nullptr;
    RunRow(row, a, pool);
    f(h, to);
  });
}

TEST(MhcFp8, IsThatOfH) {
  for (const Fp8Format format : kFormats) {
    for (const std::int64_t hidden : {5, 64, 160, 250, 384}) {
      const MhcProblem p(19, 4, hidden, DType::kBF16, static_cast<unsigned>(hidden));
      ForEveryRow(p, format, true, [&](const Activations& h, const Fp8Memory& got) {
        EXPECT_TRUE(got == Quantised(p, h, got.rows)) << "H=" << hidden << " " << format.group;
      });
    }
  }
}

TEST(MhcFp8, AloneIsWhatItIsBesideH) {
  const MhcProblem p(19, 4, 160, DType::kBF16);
  for (const Fp8Format format : kFormats) {
    std::vector<Fp8Memory> both;
    ForEveryRow(p, format, true,
                [&](const Activations&, const Fp8Memory& got) { both.push_back(got); });
    std::size_t row = 0;
    ForEveryRow(p, format, false,
                [&](const Activations&, const Fp8Memory& got) { EXPECT_TRUE(got == both[row++]); });
  }
}

TEST(MhcFp8, ScalesMayBeColumnAfterColumn) {
  const MhcProblem p(18, 4, 300, DType::kBF16);
  for (const Fp8Format format : kFormats) {
    ForEveryRow(
        p, format, true,
        [&](const Activations& h, const Fp8Memory& got) {
          EXPECT_TRUE(got == Quantised(p, h, got.rows));
        },
        1, 20);
  }
}

TEST(MhcFp8, OfTheShiftedBoundaryToo) {
  const MhcProblem problem(7, 4, 160, DType::kBF16);
  ThreadPool pool(2);
  MhcProblem p = problem;
  const std::vector<float> before(p.pre.size(), 0.25f);
  Activations streams(p.type, p.streams.size());
  Activations h(p.type, p.x.size());
  MhcBoundaryShiftedArgs a = {p.Boundary(streams, h), before.data()};
  a.boundary.fp8.format = kFormats[0];
  ForEachRow(MhcBoundaryShiftedKernels(), a, [&](const Kernel<MhcBoundaryShiftedArgs>& row) {
    Fp8Memory to(p, kFormats[0]);
    a.boundary.fp8 = to.rows;
    RunRow(row, a, pool);
    EXPECT_TRUE(to == Quantised(p, h, to.rows));
  });
}

// With post = 1 and comb = 0 both streams are x, and so is half of both: the shifted boundary,
// which is told to take that, gives h = x without a norm, whatever x holds.
TEST(MhcFp8, TakesAnyValue) {
  constexpr std::int64_t kHidden = 256;
  const float inf = HUGE_VALF;
  const float borders[] = {448, 450, 446, 0x1p30f * 448, 1e-4f, 1e-30f, 0, 3.3e38f, inf, 7};
  MhcProblem p(std::ssize(borders), 2, kHidden, DType::kBF16);
  const std::vector<float> halves(p.pre.size(), 0.5f);
  std::fill(p.post_in.begin(), p.post_in.end(), 1.0f);
  std::fill(p.comb_in.begin(), p.comb_in.end(), -0.0f);  // + 0 would make 0 of -0
  for (std::int64_t i = 0; i < p.streams.size(); ++i) p.streams.Set(i, 1);
  for (std::int64_t t = 0; t < p.tokens; ++t) {
    const float most = borders[t];
    for (std::int64_t i = 0; i < kHidden; ++i) {
      const float part = most == inf ? 1.0f : most * (static_cast<float>(i) / 256.0f);
      p.x.Set(t * kHidden + i, i % 3 == 0 ? -part : part);
    }
    p.x.Set(t * kHidden + 40, most);
    p.x.Set(t * kHidden + 200, -most);
    p.x.Set(t * kHidden + 7, t % 2 == 0 ? -0.0f : std::nanf(""));
  }
  for (const Fp8Format format : kFormats) {
    ThreadPool pool(1);
    Activations streams(p.type, p.streams.size());
    Activations h(p.type, p.x.size());
    MhcBoundaryShiftedArgs a = {p.Boundary(streams, h), halves.data()};
    a.boundary.norm_weight = nullptr;
    a.boundary.fp8.format = format;
    ForEachRow(MhcBoundaryShiftedKernels(), a, [&](const Kernel<MhcBoundaryShiftedArgs>& row) {
      Fp8Memory got(p, format);
      a.boundary.fp8 = got.rows;
      RunRow(row, a, pool);
      for (std::int64_t i = 0; i < p.x.size(); ++i) {
        if (!std::isnan(p.x.Get(i))) {
          ASSERT_EQ(h.Get(i), p.x.Get(i)) << i;
        }
      }
      EXPECT_TRUE(got == Quantised(p, h, got.rows)) << format.group;
      if (row.bits == "mhc f32") {  // the definition's sum begins with 0
        EXPECT_EQ(got.data[7], 0x80);
      }
      EXPECT_EQ(got.data[kHidden + 7], 0x7f);  // of NaN
    });
  }
}

// A NaN in one row reaches no byte of another.
TEST(MhcFp8, NanStaysInItsRow) {
  const MhcProblem p(17, 4, 160, DType::kBF16);
  MhcProblem bad = p;
  bad.x.Set(5 * 160 + 9, std::nanf(""));
  std::vector<Fp8Memory> clean;
  ForEveryRow(p, kFormats[0], true,
              [&](const Activations&, const Fp8Memory& got) { clean.push_back(got); });
  std::size_t row = 0;
  ForEveryRow(bad, kFormats[0], true, [&](const Activations&, const Fp8Memory& got) {
    const Fp8Memory& want = clean[row++];
    for (std::size_t i = 0; i < want.data.size(); ++i) {
      if (i / 160 != 5) {
        EXPECT_EQ(got.data[i], want.data[i]);
      }
    }
    for (std::size_t i = 0; i < 17 * 5; ++i) {
      if (i / 5 != 5) {
        EXPECT_EQ(got.scale[i], want.scale[i]);
      }
    }
  });
}

TEST(MhcFp8, SaysWhatIsWrong) {
  MhcProblem p(9, 4, 64, DType::kBF16);
  Activations streams(p.type, p.streams.size());
  Activations h(p.type, p.x.size());
  Fp8Memory to(p, kFormats[0]);
  MhcBoundaryArgs good = p.Boundary(streams, h);
  good.fp8 = to.rows;
  alignas(64) std::byte workspace[9 * 64 * 2];
  const auto why = [&](const MhcBoundaryArgs& a) {
    const auto op = Op<MhcBoundaryArgs>::Make(a, HostDevice());
    return op.ok() ? op->Run(a, {.workspace = workspace}).message() : op.status().message();
  };
  EXPECT_EQ(why(good), "");
  MhcBoundaryArgs a = good;
  a.h = nullptr;
  EXPECT_EQ(why(a), "");
  a.fp8 = {};
  EXPECT_THAT(why(a), HasSubstr("h is null"));
  a = good;
  a.fp8.data = nullptr;
  EXPECT_THAT(why(a), HasSubstr("fp8.data is null, needs 576 bytes"));
  a = good;
  a.fp8.scale = nullptr;
  EXPECT_THAT(why(a), HasSubstr("fp8.scale is null, needs 18 bytes"));
  a = good;
  a.fp8.scale = h.data();
  EXPECT_THAT(why(a), HasSubstr("overlaps"));
  a = good;
  a.fp8.format.group = 64;
  EXPECT_THAT(why(a), HasSubstr("fp8.format.group, needs 0, 32 or 128 columns, got 64"));
  a = good;
  a.fp8.scale_row = 1;
  a.fp8.scale_group = 8;
  EXPECT_THAT(why(a), HasSubstr("steps that keep scales apart, got 1 and 8"));
  a.fp8.scale_group = 9;
  EXPECT_EQ(why(a), "");
  a = good;
  a.type = DType::kF32;
  EXPECT_THAT(why(a), HasSubstr("fp8.format, needs bf16 streams, got F32"));
  a = good;
  a.fp8.scale_row = std::int64_t{1} << 62;
  a.fp8.scale_group = std::int64_t{1} << 62;
  EXPECT_THAT(why(a), HasSubstr("steps that keep scales apart"));
  a = good;
  a.fp8.format.scale = static_cast<Fp8Scale>(7);
  EXPECT_THAT(why(a), HasSubstr("fp8.format.scale, needs a Fp8Scale, got 7"));
  const auto op = Op<MhcBoundaryArgs>::Make(good, HostDevice());
  ASSERT_TRUE(op.ok());
  a = good;
  a.fp8.format.scale = Fp8Scale::kF32;
  EXPECT_THAT(op->Run(a, {}).message(), HasSubstr("was made for fp8 scales of E8M0, got f32"));
}

}  // namespace
}  // namespace birkhoff::ops
