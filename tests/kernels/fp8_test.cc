// The FP8 quantiser against the values of the formats' definitions.
#include "kernels/args/fp8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace birkhoff::fp8 {
namespace {

// Every finite code by its definition: sign, exponent - 7, three bits behind the point.
double CodeValue(std::uint8_t code) {
  const int exponent = code >> 3 & 15;
  const double magnitude =
      exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

TEST(Fp8, EveryCodeIsItself) {
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;  // the NaNs
    EXPECT_EQ(E4m3(static_cast<float>(CodeValue(static_cast<std::uint8_t>(code)))), code);
  }
}

// Between two codes the middle goes to the even one, and what is next to it to its own side.
TEST(Fp8, RoundsToNearestEven) {
  for (std::uint8_t code = 0; code < 0x7e; ++code) {
    const auto next = static_cast<std::uint8_t>(code + 1);
    const auto middle = static_cast<float>((CodeValue(code) + CodeValue(next)) / 2);
    EXPECT_EQ(E4m3(middle), code % 2 == 0 ? code : next) << middle;
    EXPECT_EQ(E4m3(std::nextafterf(middle, 0)), code) << middle;
    EXPECT_EQ(E4m3(std::nextafterf(middle, 1000)), next) << middle;
    EXPECT_EQ(E4m3(-middle), E4m3(middle) | 0x80) << middle;
  }
}

TEST(Fp8, EndsAtTheLargest) {
  for (const float x : {448.0f, 449.0f, 464.0f, 465.0f, 1e30f, HUGE_VALF}) {
    EXPECT_EQ(E4m3(x), 0x7e) << x;
    EXPECT_EQ(E4m3(-x), 0xfe) << x;
  }
  EXPECT_EQ(E4m3(std::nanf("")), 0x7f);
  EXPECT_EQ(E4m3(-std::nanf("")), 0x7f);
  EXPECT_EQ(E4m3(0x1p-149f), 0);
  EXPECT_EQ(E4m3(-0.0f), 0x80);
}

// DeepSeek-V4's scales.
TEST(Fp8, ScalesArePowersOfTwoFromAbove) {
  const auto exponent = [](float largest, float floor = kFp8GroupFloor) {
    const float scale = ScaleOf(largest, {128, Fp8Scale::kPowerOfTwo, floor});
    EXPECT_EQ(ScaleOf(largest, {128, Fp8Scale::kE8M0, floor}), scale);
    EXPECT_EQ(scale, std::exp2(std::ilogb(scale))) << largest;
    return std::ilogb(scale);
  };
  EXPECT_EQ(exponent(448), 0);
  EXPECT_EQ(exponent(450), 1);
  EXPECT_EQ(exponent(1), -8);
  EXPECT_EQ(exponent(3.5f), -7);
  EXPECT_EQ(exponent(3.515625f), -6);
  EXPECT_EQ(exponent(7), -6);
  EXPECT_EQ(exponent(1e-4f), -22);
  EXPECT_EQ(exponent(0), -22);  // of nothing: the least
  EXPECT_EQ(exponent(0, kFp8RowFloor), -39);
  for (int k = -20; k < 100; ++k) {
    EXPECT_EQ(exponent(std::ldexp(448.0f, k)), k);
    EXPECT_EQ(exponent(std::nextafterf(std::ldexp(448.0f, k), HUGE_VALF)), k + 1);
  }
}

TEST(Fp8, ScalesAreAPartOfTheLargest) {
  EXPECT_EQ(ScaleOf(448 * 3, {}), 3);
  EXPECT_EQ(ScaleOf(1, {}), 1.0f / 448.0f);
  EXPECT_EQ(ScaleOf(0, {}), 1e-4f / 448.0f);
  EXPECT_EQ(ScaleOf(0, {.floor = kFp8RowFloor}), 1e-12f);
}

// Of every mantissa in a binade, and of the binades at both ends.
TEST(Fp8, AScaleIsTheQuotient) {
  constexpr Fp8Format kLeast = {.floor = 1e-30f};
  for (const float binade : {1e-30f, 1e-4f, 1.0f, 3.4e38f}) {
    const std::uint32_t first = BitsOf(binade) >> 23 << 23;
    int wrong = 0;
    for (std::uint32_t bits = first; bits < first + (1u << 23); ++bits) {
      const float largest = FloatOf(bits);
      if (ScaleOf(largest, kLeast) != (largest > 1e-30f ? largest : 1e-30f) / 448.0f) ++wrong;
    }
    EXPECT_EQ(wrong, 0) << binade;
  }
  EXPECT_EQ(ScaleOf(HUGE_VALF, {}), HUGE_VALF);
}

float ValueOf(std::uint32_t bf16) { return FloatOf(bf16 << 16); }

// Over the bf16 that a group may hold beside its largest, 24 binades down to what is 0 for sure; a
// reciprocal that is off by an ulp to either side, as that of a GPU may be.
void ExpectTheBytesOfADivision(std::uint32_t first, const Fp8Format& format) {
  for (std::uint32_t largest = first; largest < first + 128; ++largest) {
    const float scale = ScaleOf(ValueOf(largest), format);
    const float reciprocal = 1.0f / scale;
    const Divisor divisors[] = {DivisorOf(scale, reciprocal),
                                DivisorOf(scale, std::nextafterf(reciprocal, 0)),
                                DivisorOf(scale, std::nextafterf(reciprocal, HUGE_VALF))};
    for (std::uint32_t x = largest > 24 * 128 ? largest - 24 * 128 : 0; x <= largest; ++x) {
      for (const std::uint32_t sign : {0u, 0x8000u}) {
        const float value = ValueOf(x | sign);
        const std::uint8_t want = E4m3(value / scale);
        for (const Divisor& divisor : divisors)
          ASSERT_EQ(E4m3(divisor.Divide(value)), want) << value << " of " << ValueOf(largest);
      }
    }
  }
}

// The mantissas of the largest at both ends of the exponents, about the floors and in the middle.
TEST(Fp8, AProductAndACorrectionGiveTheBytesOfADivision) {
  for (const float binade :
       {0.0f, 1e-30f, 2e-10f, 448e-12f, 6e-5f, 1e-4f, 1.0f, 3.0f, 1e30f, 1.8e38f}) {
    for (const Fp8Format& format :
         {Fp8Format{}, Fp8Format{.floor = kFp8RowFloor}, Fp8Format{.floor = 1e-30f},
          Fp8Format{.scale = Fp8Scale::kE8M0}})
      ExpectTheBytesOfADivision(BitsOf(binade) >> 23 << 7, format);
  }
  const Divisor infinite = DivisorOf(HUGE_VALF, 0);
  EXPECT_EQ(E4m3(infinite.Divide(-3e38f)), 0x80);
  EXPECT_EQ(E4m3(infinite.Divide(HUGE_VALF)), 0x7f);
  EXPECT_EQ(E4m3(infinite.Divide(-0.0f)), 0x80);
  EXPECT_EQ(E4m3(DivisorOf(1, 1).Divide(std::nanf(""))), 0x7f);
}

TEST(Fp8, TheLargestLeavesNanOut) {
  EXPECT_EQ(Larger(1, -2), 2);
  EXPECT_EQ(Larger(1, std::nanf("")), 1);
  EXPECT_EQ(Larger(1, -HUGE_VALF), HUGE_VALF);
}

TEST(Fp8, PutsScalesWhereTheStepsSay) {
  std::vector<std::uint8_t> bytes(8, 9);
  Fp8Rows rows = {.scale = bytes.data(), .format = {32, Fp8Scale::kE8M0}};
  rows = WithSteps(rows, 65);  // three groups
  EXPECT_EQ(rows.scale_row, 3);
  EXPECT_EQ(rows.scale_group, 1);
  PutScale(rows, 1, 2, 0x1p-8f);
  EXPECT_EQ(bytes, (std::vector<std::uint8_t>{9, 9, 9, 9, 9, 119, 9, 9}));
  rows.scale_row = 1;
  rows.scale_group = 4;
  EXPECT_EQ(WithSteps(rows, 65).scale_group, 4);
  PutScale(rows, 3, 1, HUGE_VALF);
  EXPECT_EQ(bytes[7], 255);
}

}  // namespace
}  // namespace birkhoff::fp8
