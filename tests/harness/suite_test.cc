// The judge itself: what it must accept and what it must catch.
#include "harness/suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/typed_suite.h"

namespace birkhoff::harness {
namespace {

using testing::HasSubstr;

struct CopyArgs {
  const float* x = nullptr;
  float* out = nullptr;
  std::int64_t n = 0;
};

void Copy(const CopyArgs& a, const Exec&) {
  for (std::int64_t i = 0; i < a.n; ++i) a.out[i] = a.x[i];
}
void CopyAlmost(const CopyArgs& a, const Exec&) {
  for (std::int64_t i = 0; i < a.n; ++i) a.out[i] = a.x[i] + (i == 5 ? 1e-3f : 0.0f);
}
void CopyTooFew(const CopyArgs& a, const Exec&) {
  for (std::int64_t i = 0; i + 1 < a.n; ++i) a.out[i] = a.x[i];
}
void CopyTooMany(const CopyArgs& a, const Exec&) {
  for (std::int64_t i = 0; i <= a.n; ++i) a.out[i] = i < a.n ? a.x[i] : 0.0f;
}
void ReadTooFar(const CopyArgs& a, const Exec&) {
  for (std::int64_t i = 0; i < a.n; ++i) a.out[i] = a.x[i] + 0 * a.x[i + 1];
}

constexpr Kernel<CopyArgs> kTable[] = {
    {.name = "almost", .bits = "a", .refuses = Never<CopyArgs>, .run = CopyAlmost},
    {.name = "too_few", .bits = "b", .refuses = Never<CopyArgs>, .run = CopyTooFew},
    {.name = "too_many", .bits = "c", .refuses = Never<CopyArgs>, .run = CopyTooMany},
    {.name = "too_far", .bits = "d", .refuses = Never<CopyArgs>, .run = ReadTooFar},
    {.name = "ref", .bits = "e", .refuses = Never<CopyArgs>, .run = Copy},
};

Problem<CopyArgs> Make(double bound) {
  Problem<CopyArgs> p;
  p.buffers = std::make_shared<Buffers>(1);
  p.args.n = 20;
  p.args.x = p.buffers->Floats(p.args.n, 1.0);
  p.args.out = static_cast<float*>(p.buffers->Bytes(p.args.n * 4));
  p.outputs = {{.name = "out", .data = p.args.out, .elements = p.args.n}};
  if (bound > 0) p.outputs[0].bound = [bound](std::int64_t, double) { return bound; };
  return p;
}

Problem<CopyArgs> MakeWithNan() {
  Problem<CopyArgs> p = Make(1.0);
  const_cast<float*>(p.args.x)[p.args.n - 1] = std::nanf("");
  return p;
}

const Suite& CopySuite() {
  static const std::unique_ptr<Suite> suite = [] {
    std::vector<Case<CopyArgs>> cases;
    cases.push_back({.name = "exact", .make = [] { return Make(0); }});
    cases.push_back({.name = "bounded", .make = [] { return Make(1.1e-3); }});
    cases.push_back({.name = "nan", .make = MakeWithNan});
    return MakeSuite<CopyArgs>("copy", kTable, std::move(cases));
  }();
  return *suite;
}

class Judge : public testing::Test {
 protected:
  CheckResult Check(int c, int k) { return CopySuite().Check(c, k, pool_); }
  ThreadPool pool_{1};
};

TEST_F(Judge, AcceptsTheDefinition) {
  EXPECT_TRUE(Check(0, 4).ok);
  EXPECT_EQ(Check(0, 4).worst, 0);
}

TEST_F(Judge, NamesTheElementThatIsOutside) {
  const CheckResult result = Check(0, 0);
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.detail, HasSubstr("out[5]"));
  EXPECT_THAT(result.detail, HasSubstr("1 of 20 outside"));
}

TEST_F(Judge, AcceptsWhatIsWithinTheBoundAndSaysHowNear) {
  const CheckResult result = Check(1, 0);
  EXPECT_TRUE(result.ok) << result.detail;
  EXPECT_NEAR(result.worst, 1 / 1.1, 1e-3);
}

TEST_F(Judge, SeesAnElementThatWasNotWritten) { EXPECT_FALSE(Check(1, 1).ok); }

TEST_F(Judge, SeesThatANanWasNotWritten) {
  EXPECT_TRUE(Check(2, 4).ok);
  const CheckResult result = Check(2, 1);
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.detail, HasSubstr("out[19]: expected nan, got nothing written"));
}

TEST_F(Judge, SeesAWriteBehindTheEnd) {
  const CheckResult result = Check(1, 2);
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.detail, HasSubstr("outside its outputs"));
}

TEST_F(Judge, SeesAReadBehindTheEnd) { EXPECT_FALSE(Check(1, 3).ok); }

TEST_F(Judge, TimesAKernel) {
  const TimeResult time = CopySuite().Time(0, 4, pool_, 1e-4);
  EXPECT_GT(time.us, 0);
  EXPECT_LE(time.us_p25, time.us);
  EXPECT_LE(time.us, time.us_p75);
}

TEST(Buffers, RepeatThemselves) {
  Buffers a(7);
  Buffers b(7);
  Buffers c(8);
  const float x = a.Floats(3, 1.0)[2];
  EXPECT_EQ(x, b.Floats(3, 1.0)[2]);
  EXPECT_NE(x, c.Floats(3, 1.0)[2]);
}

TEST(Buffers, AreNormalWithTheGivenMeanAndDeviation) {
  constexpr std::int64_t kCount = 20000;
  Buffers buffers(3);
  const float* x = buffers.Floats(kCount, 2.0, 5.0);
  double sum = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < kCount; ++i) {
    sum += x[i];
    squares += (x[i] - 5.0) * (x[i] - 5.0);
  }
  EXPECT_NEAR(sum / kCount, 5.0, 0.1);
  EXPECT_NEAR(std::sqrt(squares / kCount), 2.0, 0.1);
}

}  // namespace
}  // namespace birkhoff::harness
