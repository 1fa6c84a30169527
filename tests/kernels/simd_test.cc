// simd.h on every instruction set of this machine: accuracy, rounding, special values, trees.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ostream>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/dtype.h"

#define DECLARE_PROBES(isa)                                                 \
  namespace birkhoff::cpu::isa {                                            \
  void ProbeExp(const float* x, float* y);                                  \
  void ProbeSigmoid(const float* x, float* y);                              \
  void ProbeStoreBf16(const float* x, std::uint16_t* y);                    \
  void ProbeLoadBf16(const std::uint16_t* x, float* y);                     \
  void ProbeLoadBf16Pairs(const std::uint16_t* x, float* even, float* odd); \
  float ProbeReduceAdd(const float* x);                                     \
  void ProbeMax(const float* a, const float* b, float* y);                  \
  void ProbeMin(const float* a, const float* b, float* y);                  \
  void ProbeFma(const float* a, const float* b, const float* c, float* y);  \
  void ProbeCopy(const float* x, float* y, int n);                          \
  void ProbeRoundTrip(const std::uint16_t* x, std::uint16_t* y, int n);     \
  }
DECLARE_PROBES(generic)
#if defined(__x86_64__)
DECLARE_PROBES(avx2)
DECLARE_PROBES(avx512)
#endif
#undef DECLARE_PROBES

namespace birkhoff::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Probes {
  CpuIsa isa = CpuIsa::kGeneric;
  void (*exp)(const float*, float*) = nullptr;
  void (*sigmoid)(const float*, float*) = nullptr;
  void (*store_bf16)(const float*, std::uint16_t*) = nullptr;
  void (*load_bf16)(const std::uint16_t*, float*) = nullptr;
  void (*load_pairs)(const std::uint16_t*, float*, float*) = nullptr;
  float (*reduce_add)(const float*) = nullptr;
  void (*max)(const float*, const float*, float*) = nullptr;
  void (*min)(const float*, const float*, float*) = nullptr;
  void (*fma)(const float*, const float*, const float*, float*) = nullptr;
  void (*copy)(const float*, float*, int) = nullptr;
  void (*round_trip)(const std::uint16_t*, std::uint16_t*, int) = nullptr;
};

#define PROBES(name, isa)                                                                          \
  Probes {                                                                                         \
    CpuIsa::name, isa::ProbeExp, isa::ProbeSigmoid, isa::ProbeStoreBf16, isa::ProbeLoadBf16,       \
        isa::ProbeLoadBf16Pairs, isa::ProbeReduceAdd, isa::ProbeMax, isa::ProbeMin, isa::ProbeFma, \
        isa::ProbeCopy, isa::ProbeRoundTrip                                                        \
  }

std::vector<Probes> Runnable() {
  std::vector<Probes> runnable;
  for (const Probes& p : {
         PROBES(kGeneric, generic),
#if defined(__x86_64__)
             PROBES(kAvx2, avx2), PROBES(kAvx512, avx512),
#endif
       }) {
    if (p.isa <= HostDevice().isa) runnable.push_back(p);
  }
  return runnable;
}

class Simd : public testing::TestWithParam<Probes> {};

// Floats of every exponent and sign, about a million.
constexpr std::uint32_t kStride = 4099;

TEST_P(Simd, ExpIsWithinOneUlp) {
  double worst = 0;
  for (std::uint64_t u = 0; u < (1ull << 32); u += 16 * kStride) {
    float x[16], y[16];
    for (std::uint32_t l = 0; l < 16; ++l) {
      x[l] = std::bit_cast<float>(static_cast<std::uint32_t>(u) + l * kStride);
      // Half of the patterns are beyond the range or next to 1: fold those into the range.
      if (std::abs(x[l]) > 128) x[l] = static_cast<float>(std::remainder(x[l], 103.0));
    }
    GetParam().exp(x, y);
    for (int l = 0; l < 16; ++l) {
      if (std::isnan(x[l])) {
        EXPECT_TRUE(std::isnan(y[l]));
        continue;
      }
      const double exact = std::exp(static_cast<double>(x[l]));
      if (exact > std::numeric_limits<float>::max()) {
        EXPECT_GE(y[l], std::numeric_limits<float>::max()) << x[l];
        continue;
      }
      const int exponent = std::max(std::ilogb(exact), -126);
      worst = std::max(worst, std::abs(y[l] - exact) / std::ldexp(1.0, exponent - 23));
    }
  }
  EXPECT_LE(worst, 1.0);
}

TEST_P(Simd, ExpAndSigmoidOfSpecialValues) {
  const float x[16] = {kInf,   -kInf,  kNan,   0.0f,    -0.0f,  89.0f, -104.0f, 1e30f,
                       -1e30f, 88.72f, -87.0f, -103.0f, 1e-30f, 1.0f,  -1.0f,   17.5f};
  float e[16], s[16];
  GetParam().exp(x, e);
  GetParam().sigmoid(x, s);
  EXPECT_EQ(e[0], kInf);
  EXPECT_EQ(e[1], 0.0f);
  EXPECT_TRUE(std::isnan(e[2]));
  EXPECT_EQ(e[3], 1.0f);
  EXPECT_EQ(e[4], 1.0f);
  EXPECT_EQ(e[5], kInf);
  EXPECT_EQ(e[6], 0.0f);
  EXPECT_EQ(e[7], kInf);
  EXPECT_EQ(e[8], 0.0f);
  EXPECT_LT(e[9], kInf);
  EXPECT_GT(e[11], 0.0f);  // a denormal
  EXPECT_EQ(s[0], 1.0f);
  EXPECT_EQ(s[1], 0.0f);
  EXPECT_TRUE(std::isnan(s[2]));
  EXPECT_EQ(s[3], 0.5f);
  EXPECT_EQ(s[8], 0.0f);
  EXPECT_EQ(s[7], 1.0f);
}

TEST_P(Simd, StoreBf16RoundsAsTheTypeDoes) {
  std::uint32_t differ = 0;
  const auto check = [&](const std::uint32_t(&bits)[16]) {
    float x[16];
    std::uint16_t y[16];
    for (int l = 0; l < 16; ++l) x[l] = std::bit_cast<float>(bits[l]);
    GetParam().store_bf16(x, y);
    for (int l = 0; l < 16; ++l) differ += y[l] != bf16(x[l]).bits;
  };
  // Every upper half with the lower halves around the ties: denormals, infinities and NaN included.
  constexpr std::uint32_t kLower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x4000, 0xc000};
  for (std::uint32_t upper = 0; upper < 0x10000; upper += 2) {
    std::uint32_t bits[16];
    for (std::uint32_t l = 0; l < 16; ++l) bits[l] = (upper + l / 8) << 16 | kLower[l % 8];
    check(bits);
  }
  EXPECT_EQ(differ, 0u);
}

TEST_P(Simd, LoadBf16WidensEveryPattern) {
  std::uint32_t differ = 0;
  for (std::uint32_t u = 0; u < 0x10000; u += 32) {
    std::uint16_t x[32];
    float y[16], even[16], odd[16];
    for (std::uint32_t l = 0; l < 32; ++l) x[l] = static_cast<std::uint16_t>(u + l);
    GetParam().load_bf16(x, y);
    GetParam().load_pairs(x, even, odd);
    for (std::uint32_t l = 0; l < 16; ++l) {
      differ += std::bit_cast<std::uint32_t>(y[l]) != (u + l) << 16;
      differ += std::bit_cast<std::uint32_t>(even[l]) != (u + 2 * l) << 16;
      differ += std::bit_cast<std::uint32_t>(odd[l]) != (u + 2 * l + 1) << 16;
    }
  }
  EXPECT_EQ(differ, 0u);
}

TEST_P(Simd, ReduceAddIsTheTree) {
  std::uint32_t state = 1;
  for (int repeat = 0; repeat < 1000; ++repeat) {
    float x[16];
    for (float& v : x) {
      state = state * 1664525u + 1013904223u;
      v = std::ldexp(static_cast<float>(state >> 8) - 8e6f, static_cast<int>(state % 24) - 24);
    }
    float t[16];
    std::copy(x, x + 16, t);
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) t[i] = t[i] + t[i + half];
    }
    EXPECT_EQ(GetParam().reduce_add(x), t[0]);
  }
}

TEST_P(Simd, MaxAndMinReturnTheSecondOfNan) {
  const float a[16] = {kNan, 1.0f, 2.0f, -kInf, kNan};
  const float b[16] = {1.0f, kNan, 3.0f, kInf, kNan};
  float y[16];
  GetParam().max(a, b, y);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], 3.0f);
  EXPECT_EQ(y[3], kInf);
  GetParam().min(a, b, y);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], 2.0f);
  EXPECT_EQ(y[3], -kInf);
}

TEST_P(Simd, FmaRoundsOnce) {
  // (1 + 2^-12)^2 - 1 = 2^-11 + 2^-24: the last bit is lost when the product is rounded.
  const float a[16] = {1.0f + 0x1p-12f};
  const float c[16] = {-1.0f};
  float y[16];
  GetParam().fma(a, a, c, y);
  EXPECT_EQ(y[0], 0x1p-11f + 0x1p-24f);
}

TEST_P(Simd, TailsTouchNothingBehindThem) {
  for (int n = 0; n <= 16; ++n) {
    std::vector<float> x(static_cast<std::size_t>(n), 1.5f);  // exact size: sanitizers see a read
    std::vector<float> y(17, -1.0f);
    GetParam().copy(x.data(), y.data(), n);
    std::vector<std::uint16_t> h(static_cast<std::size_t>(n), 0x3fc0);
    std::vector<std::uint16_t> g(17, 7);
    GetParam().round_trip(h.data(), g.data(), n);
    for (int i = 0; i < 17; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(y[at], i < n ? 1.5f : -1.0f) << n;
      EXPECT_EQ(g[at], i < n ? 0x3fc0 : 7) << n;
    }
  }
}

void PrintTo(const Probes& p, std::ostream* os) { *os << Name(p.isa); }

INSTANTIATE_TEST_SUITE_P(, Simd, testing::ValuesIn(Runnable()),
                         [](const auto& test) { return std::string(Name(test.param.isa)); });

}  // namespace
}  // namespace birkhoff::cpu
