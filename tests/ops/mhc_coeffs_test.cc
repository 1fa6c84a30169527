#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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

template <class F>
void OnEveryRow(MhcProblem& p, F f) {
  RunEveryRow(MhcCoeffsKernels(), p.Coeffs(), f);
}

// comb of one token with these logits; rows are checked against each other to 1e-6.
void ExpectComb(const std::vector<float>& logits, int iterations, const std::vector<float>& want) {
  const auto hc = static_cast<std::int64_t>(std::sqrt(static_cast<double>(logits.size())));
  MhcProblem p(1, hc, 8, DType::kF32);
  p.FeedLogits(logits);
  p.constants.iterations = iterations;
  OnEveryRow(p, [&] {
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(p.comb[i], want[i], 1e-6) << i;
  });
}

const std::vector<float> kLogits = {0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 1, 1, 0, 2, 0, 2};

TEST(Sinkhorn, CheckValuesAfterOneColumnStep) {
  ExpectComb(kLogits, 1,
             {0.0325287f, 0.0859056f, 0.3738498f, 0.4712576f,  //
              0.6533368f, 0.2335141f, 0.1375327f, 0.0234632f,  //
              0.2536589f, 0.2464446f, 0.3945514f, 0.1829664f,  //
              0.0604745f, 0.4341347f, 0.0940646f, 0.3223120f});
}

TEST(Sinkhorn, CheckValuesAfterTwenty) {
  ExpectComb(kLogits, 20,
             {0.0367519f, 0.0891908f, 0.3991565f, 0.4748998f,  //
              0.6412689f, 0.2106210f, 0.1275681f, 0.0205410f,  //
              0.2496220f, 0.2228628f, 0.3669182f, 0.1605960f,  //
              0.0723563f, 0.4773244f, 0.1063562f, 0.3439622f});
}

TEST(Sinkhorn, CheckValuesOfTwoStreams) {
  ExpectComb({1, -1, 0.5f, 2}, 20, {0.8519512f, 0.1480477f, 0.1480478f, 0.8519513f});
}

// Slow to converge: rows are still 1.9e-2 off. A closing row pass would hide that.
TEST(Sinkhorn, EndsOnAColumnStep) {
  const std::vector<float> logits = {8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8};
  ExpectComb(logits, 20,
             {0.4999889f, 0.4704011f, 0.0052890f, 0.0052890f,  //
              0.4999889f, 0.4704011f, 0.0052890f, 0.0052890f,  //
              0.0000106f, 0.0295984f, 0.9890882f, 0.0003328f,  //
              0.0000106f, 0.0295984f, 0.0003328f, 0.9890882f});
  MhcProblem p(1, 4, 8, DType::kF32);
  p.FeedLogits(logits);
  OnEveryRow(p, [&] {
    EXPECT_NEAR(p.comb[0] + p.comb[1] + p.comb[2] + p.comb[3], 1 - 1.9e-2, 1e-3);
    EXPECT_NEAR(p.comb[8] + p.comb[9] + p.comb[10] + p.comb[11], 1 + 1.9e-2, 1e-3);
  });
}

double ColumnSum(const MhcProblem& p, std::int64_t token, std::int64_t column) {
  double sum = 0;
  for (std::int64_t j = 0; j < p.hc; ++j) {
    sum += p.comb[static_cast<std::size_t>((token * p.hc + j) * p.hc + column)];
  }
  return sum;
}

void ExpectColumns(const MhcProblem& p, int iterations) {
  const auto n = static_cast<double>(p.hc);
  const double lowest = iterations == 1   ? n / (n + 1) - 1e-6
                        : iterations <= 3 ? 1 - 8e-6
                                          : 1 - 2e-6;
  for (std::int64_t t = 0; t < p.tokens; ++t) {
    for (std::int64_t c = 0; c < p.hc; ++c) {
      EXPECT_GE(ColumnSum(p, t, c), lowest) << "token " << t << " column " << c;
      EXPECT_LE(ColumnSum(p, t, c), 1 + 8 * 0x1p-24) << "token " << t << " column " << c;
    }
  }
  EXPECT_TRUE(std::all_of(p.comb.begin(), p.comb.end(), [](float c) { return c > 0; }));
}

TEST(Sinkhorn, ColumnsSumToOne) {
  for (const std::int64_t hc : {2, 4, 8}) {
    for (const int iterations : {1, 3, 20}) {
      MhcProblem p(40, hc, 16, DType::kF32);
      p.constants.iterations = iterations;
      OnEveryRow(p, [&] { ExpectColumns(p, iterations); });
    }
  }
}

// Large, tied and all on one column: no NaN, and the columns are as ever. Without subtracting the
// maximum of a row this overflows.
TEST(Sinkhorn, ExtremeLogits) {
  for (const std::int64_t hc : {2, 4, 8}) {
    for (const int kind : {0, 1, 2, 3}) {
      MhcProblem p(1, hc, 8, DType::kF32);
      std::vector<float> logits(static_cast<std::size_t>(hc * hc), kind == 0 ? 1e4f : -1e4f);
      for (std::int64_t i = 0; i < hc * hc; ++i) {
        float& l = logits[static_cast<std::size_t>(i)];
        if (kind == 2 && i % hc == 0) l = 1e4f;
        if (kind == 3) l = i % 3 == 0 ? 1e4f : i % 3 == 1 ? -1e4f : 0;
      }
      p.FeedLogits(logits);
      OnEveryRow(p, [&] { ExpectColumns(p, 20); });
    }
  }
}

// A projection of zeros leaves the logits to base, whatever the streams are.
TEST(MhcCoeffs, ZeroProjectionGivesTheBase) {
  MhcProblem p(3, 4, 40, DType::kBF16);
  p.FeedLogits(kLogits);
  OnEveryRow(p, [&] {
    for (std::size_t i = 0; i < 12; ++i) {
      const double pre = 1 / (1 + std::exp(-static_cast<double>(p.base[i % 4])));
      const double post = 2 / (1 + std::exp(-static_cast<double>(p.base[4 + i % 4])));
      EXPECT_NEAR(p.pre[i], pre + 1e-6, 1e-7);
      EXPECT_NEAR(p.post[i], post, 2e-7);
      EXPECT_EQ(p.pre[i], p.pre[i % 4]);
      EXPECT_EQ(p.comb[4 * i], p.comb[4 * i % 16]);
    }
  });
}

// pre has its eps, once; post has its factor and no eps.
TEST(MhcCoeffs, EpsAndFactorStandWhereTheyBelong) {
  MhcProblem p(1, 4, 8, DType::kF32);
  p.FeedLogits(kLogits);
  std::fill(p.base.begin(), p.base.begin() + 8, -200.0f);
  p.base[0] = 200;
  p.base[4] = 200;
  p.constants.pre_eps = 0.25f;
  p.constants.post_mult = 3;
  OnEveryRow(p, [&] {
    EXPECT_EQ(p.pre[0], 1.25f);
    EXPECT_EQ(p.pre[1], 0.25f);
    EXPECT_EQ(p.post[0], 3.0f);
    EXPECT_NEAR(p.post[1], 0.0f, 1e-37);
  });
}

// One stream of ones and three of zeros: the mean square is 1/4, not 1.
TEST(MhcCoeffs, MeanSquareIsOverAllStreams) {
  MhcProblem p(1, 4, 64, DType::kBF16);
  for (std::int64_t i = 0; i < p.streams.size(); ++i) p.streams.Set(i, i < 64 ? 1.0f : 0.0f);
  std::fill(p.fn.begin(), p.fn.end(), 1.0f / 64);
  std::fill(p.base.begin(), p.base.end(), 0.0f);
  std::fill(p.scale.begin(), p.scale.end(), 1.0f);
  OnEveryRow(p, [&] { EXPECT_NEAR(p.pre[0], 1 / (1 + std::exp(-2.0)) + 1e-6, 1e-6); });
}

// The projection is f32 throughout. TF32 or a dropped low part would be a hundred times off.
TEST(MhcCoeffs, MixesHaveFullPrecision) {
  MhcProblem p(300, 4, 256, DType::kBF16);
  p.constants.pre_eps = 0;
  ThreadPool pool(1);
  const std::span<const Kernel<MhcCoeffsArgs>> table = MhcCoeffsKernels();
  RunRow(table.back(), p.Coeffs(), pool);
  const std::vector<float> exact = p.pre;
  ForEachRow(table, p.Coeffs(), [&](const Kernel<MhcCoeffsArgs>& row) {
    RunRow(row, p.Coeffs(), pool);
    double sum = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      // d sigmoid = s (1 - s) dz
      const double slope = exact[i] * (1.0 - exact[i]);
      sum += std::abs(static_cast<double>(p.pre[i]) - exact[i]) / slope;
    }
    EXPECT_LE(sum / static_cast<double>(exact.size()), 1e-6);
  });
}

// One row of a projection in the tree of class "f32", written out: eight lanes for each of sixteen
// slices of 32-column chunks.
template <class Term>
float InTree(const MhcProblem& p, std::int64_t streams, Term fma_term) {
  const std::int64_t chunks = (p.hidden + 31) / 32;
  float slices[16];
  for (std::int64_t s = 0; s < 16; ++s) {
    float lane[8] = {};
    for (std::int64_t chunk = s * chunks / 16; chunk < (s + 1) * chunks / 16; ++chunk) {
      for (std::int64_t j = 0; j < streams; ++j) {
        for (std::int64_t c = 32 * chunk; c < std::min(32 * chunk + 32, p.hidden); ++c) {
          lane[c % 8] = fma_term(j * p.hidden + c, lane[c % 8]);
        }
      }
    }
    slices[s] =
        ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  }
  for (int step = 1; step < 16; step *= 2) {
    for (int i = 0; i < 16; i += 2 * step) slices[i] = slices[i] + slices[i + step];
  }
  return slices[0];
}

// m scale + base of one row of the only token.
float Logit(const MhcProblem& p, std::int64_t row) {
  const std::int64_t k = p.hc * p.hidden;
  const float dot = InTree(p, p.hc, [&](std::int64_t i, float sum) {
    return std::fma(p.fn[static_cast<std::size_t>(row * k + i)], p.streams.Get(i), sum);
  });
  float squares[4];
  for (std::int64_t j = 0; j < 4; ++j) {
    squares[j] = InTree(p, 1, [&](std::int64_t c, float sum) {
      const float x = p.streams.Get(j * p.hidden + c);
      return std::fma(x, x, sum);
    });
  }
  const float mean =
      ((squares[0] + squares[1]) + (squares[2] + squares[3])) / static_cast<float>(k);
  const float rs = 1.0f / std::sqrt(mean + p.constants.rms_eps);
  const float scale = p.scale[static_cast<std::size_t>(row < p.hc ? 0 : row < 2 * p.hc ? 1 : 2)];
  return (dot * rs) * scale + p.base[static_cast<std::size_t>(row)];
}

// Logits taken from the written tree and fed through base give the same bits as the projection. The
// large scale makes every bit of a mix count.
TEST(MhcCoeffs, ProjectsInTheWrittenTree) {
  for (const std::int64_t hidden : {5, 160, 1030}) {
    MhcProblem p(1, 4, hidden, DType::kBF16);
    std::fill(p.scale.begin(), p.scale.end(), 64.0f);
    MhcProblem fed = p;
    std::fill(fed.fn.begin(), fed.fn.end(), 0.0f);
    for (std::int64_t r = 0; r < 24; ++r) {
      // Near zero, where the sigmoid is steep.
      p.base[static_cast<std::size_t>(r)] = 0;
      p.base[static_cast<std::size_t>(r)] = 1 - std::round(Logit(p, r));
      fed.base[static_cast<std::size_t>(r)] = Logit(p, r);
    }
    ThreadPool pool(1);
    for (const Kernel<MhcCoeffsArgs>& row : MhcCoeffsKernels()) {
      if (row.bits != "mhc f32" || WhyNot(row, p.Coeffs(), HostDevice())) continue;
      SCOPED_TRACE(std::string(row.name));
      RunRow(row, p.Coeffs(), pool);
      RunRow(row, fed.Coeffs(), pool);
      EXPECT_EQ(p.pre, fed.pre);
      EXPECT_EQ(p.post, fed.post);
      EXPECT_EQ(p.comb, fed.comb);
    }
  }
}

// Sums of squares that overflow, vanish or are denormal.
TEST(MhcCoeffs, ExtremeStreams) {
  for (const float magnitude : {1e18f, 1e30f, 0.0f, 1e-40f}) {
    MhcProblem p(1, 4, 64, DType::kF32);
    p.constants.rms_eps = 1e-20f;
    for (std::int64_t i = 0; i < p.streams.size(); ++i) {
      p.streams.Set(i, i % 2 == 0 ? magnitude : -magnitude);
    }
    OnEveryRow(p, [&] { ExpectColumns(p, 20); });
  }
}

// Coefficients of every token, in order.
std::vector<float> Coefficients(const Kernel<MhcCoeffsArgs>& row, MhcProblem& p,
                                std::int64_t token = -1) {
  ThreadPool pool(1);
  MhcCoeffsArgs a = p.Coeffs();
  std::fill(p.pre.begin(), p.pre.end(), 0.0f);
  if (token >= 0) {
    a.streams = static_cast<std::byte*>(p.streams.data()) +
                static_cast<std::size_t>(token * p.hc * p.hidden) * SizeOf(p.type);
    a.tokens = 1;
  }
  RunRow(row, a, pool);
  std::vector<float> all;
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    all.insert(all.end(), p.pre.begin() + t * p.hc, p.pre.begin() + (t + 1) * p.hc);
    all.insert(all.end(), p.post.begin() + t * p.hc, p.post.begin() + (t + 1) * p.hc);
    all.insert(all.end(), p.comb.begin() + t * p.hc * p.hc, p.comb.begin() + (t + 1) * p.hc * p.hc);
  }
  return all;
}

TEST(MhcCoeffs, ARowAloneHasTheBitsItHasInABatch) {
  for (const std::int64_t hidden : {5, 160}) {
    MhcProblem p(37, 4, hidden, DType::kBF16);
    for (const Kernel<MhcCoeffsArgs>& row : MhcCoeffsKernels()) {
      if (WhyNot(row, p.Coeffs(), HostDevice())) continue;
      SCOPED_TRACE(std::string(row.name));
      const std::vector<float> batch = Coefficients(row, p);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        const std::vector<float> alone = Coefficients(row, p, t);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), batch.begin() + t * 24)) << t;
      }
    }
  }
}

TEST(MhcCoeffs, NanAndInfStayInTheirRow) {
  for (const float bad : {std::nanf(""), HUGE_VALF}) {
    for (const Kernel<MhcCoeffsArgs>& row : MhcCoeffsKernels()) {
      MhcProblem p(17, 4, 33, DType::kBF16);
      if (WhyNot(row, p.Coeffs(), HostDevice())) continue;
      SCOPED_TRACE(std::string(row.name));
      const std::vector<float> clean = Coefficients(row, p);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        MhcProblem q = p;
        q.streams.Set(t * 4 * 33 + 40, bad);
        const std::vector<float> result = Coefficients(row, q);
        for (std::int64_t i = 0; i < 17 * 24; ++i) {
          const auto at = static_cast<std::size_t>(i);
          if (i / 24 == t) continue;
          EXPECT_EQ(result[at], clean[at]) << t << " " << i;
        }
      }
    }
  }
}

TEST(MhcCoeffs, BindsItsOperands) {
  MhcProblem p(3, 4, 20, DType::kBF16);
  p.constants = {.rms_eps = 1e-3f,
                 .pre_eps = 2e-3f,
                 .sinkhorn_eps = 3e-3f,
                 .post_mult = 1.5f,
                 .iterations = 2};
  ThreadPool pool(1);
  RunRow(MhcCoeffsKernels().back(), p.Coeffs(), pool);
  const MhcProblem want = p;
  RunOp(kMhcCoeffs,
        {{"iterations", std::int64_t{2}},
         {"rms_eps", 1e-3},
         {"pre_eps", 2e-3},
         {"sinkhorn_eps", 3e-3},
         {"post_mult", 1.5}},
        {Tensor(p.streams.data(), p.type, {3, 4, 20}), Tensor(p.fn, DType::kF32, {24, 80}),
         Tensor(p.base, DType::kF32, {24}), Tensor(p.scale, DType::kF32, {3})},
        {Tensor(p.pre, DType::kF32, {3, 4}), Tensor(p.post, DType::kF32, {3, 4}),
         Tensor(p.comb, DType::kF32, {3, 4, 4})});
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_NEAR(p.pre[i], want.pre[i], 1e-5);
    EXPECT_NEAR(p.post[i], want.post[i], 1e-5);
    EXPECT_NEAR(p.comb[i], want.comb[i], 1e-5);
  }
}

TEST(MhcCoeffs, InfersAndRefuses) {
  const Extent t{1, Symbol::kTokens};
  const auto vector = [](std::vector<Extent> shape) {
    return ValueType{Kind::kVector, DType::kF32, std::move(shape)};
  };
  const Attributes constants = {{"iterations", std::int64_t{20}}};
  const auto infer = [&](std::int64_t hc, std::int64_t rows, const Attributes& a) {
    return Inferred(
        kMhcCoeffs, a,
        {Activation(DType::kBF16, {t, Const(hc), Const(64)}), vector({Const(rows), Const(hc * 64)}),
         vector({Const(rows)}), vector({Const(3)})});
  };
  EXPECT_EQ(infer(4, 24, constants), "F32 [T, 4]; F32 [T, 4]; F32 [T, 4, 4]");
  EXPECT_EQ(infer(8, 80, constants), "F32 [T, 8]; F32 [T, 8]; F32 [T, 8, 8]");
  EXPECT_THAT(infer(3, 15, constants), HasSubstr("expected 2, 4 or 8 streams"));
  EXPECT_THAT(infer(4, 23, constants), HasSubstr("mhc_coeffs fn: expected [24, 256]"));
  EXPECT_THAT(infer(4, 24, {{"iterations", std::int64_t{0}}}), HasSubstr("at least 1 iteration"));
}

}  // namespace
}  // namespace birkhoff::ops
