// quantise, rms_norm_quantise, swiglu_quantise and FP8 of mhc_boundary as an op.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernel_rows.h"
#include "kernels/args/fp8.h"
#include "mhc_problem.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Extent kT{1, Symbol::kTokens};
constexpr DType kTypes[] = {DType::kBF16, DType::kF32};
constexpr Fp8Format kFormats[] = {{32, Fp8Scale::kE8M0},
                                  {128, Fp8Scale::kF32},
                                  {128, Fp8Scale::kPowerOfTwo},
                                  {7, Fp8Scale::kF32},
                                  {300, Fp8Scale::kF32, kFp8RowFloor}};

Attributes WithFormat(std::vector<Attributes::Entry> entries, std::int64_t group,
                      Fp8Scale scale = Fp8Scale::kF32, double floor = kFp8GroupFloor) {
  entries.push_back({"group", group});
  entries.push_back({"scale", static_cast<std::int64_t>(scale)});
  entries.push_back({"floor", floor});
  return Attributes(std::move(entries));
}

// Rows in FP8, poisoned.
struct Fp8Memory {
  std::vector<std::uint8_t> q = {};
  std::vector<std::uint8_t> scale = {};
  Fp8Rows rows = {};

  Fp8Memory(std::int64_t count, std::int64_t width, Fp8Format format)
      : q(static_cast<std::size_t>(count * width), 0xaa),
        scale(static_cast<std::size_t>(count * fp8::GroupsOf(format, width)) *
                  (format.scale == Fp8Scale::kE8M0 ? 1 : 4),
              0xaa),
        rows{q.data(), scale.data(), format} {}
  Fp8Memory(const Fp8Memory&) = delete;
  Fp8Memory& operator=(const Fp8Memory&) = delete;

  bool operator==(const Fp8Memory& o) const { return q == o.q && scale == o.scale; }
  float Scale(std::size_t i) const {
    float s;
    std::memcpy(&s, scale.data() + 4 * i, 4);
    return s;
  }
  // Row r, of so many, alone.
  bool HasRow(const Fp8Memory& one, std::size_t r, std::size_t count) const {
    const std::size_t width = q.size() / count;
    const std::size_t bytes = scale.size() / count;
    return std::memcmp(q.data() + r * width, one.q.data(), width) == 0 &&
           std::memcmp(scale.data() + r * bytes, one.scale.data(), bytes) == 0;
  }
};

// Values of every size down to what becomes 0, zeros of both signs among them.
Activations Spread(DType type, std::int64_t count, unsigned seed) {
  Activations a(type, count);
  std::mt19937 random(seed);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto exponent = static_cast<int>(random() % 24);
    const float value = std::ldexp(static_cast<float>(random() % 4096), exponent - 28);
    a.Set(i, random() % 2 == 0 ? value : -value);
  }
  return a;
}

QuantiseArgs ArgsOf(Activations& x, DType type, std::int64_t rows, std::int64_t width,
                    const Fp8Memory& to) {
  return {
      .x = x.data(), .fp8 = to.rows, .type = type, .rows = rows, .width = width, .x_row = width};
}

// By the functions of args/fp8.h, element by element.
TEST(Quantise, IsWhatTheFormatSays) {
  constexpr std::int64_t kRows = 5;
  for (const DType type : kTypes) {
    for (const Fp8Format& format : kFormats) {
      for (const std::int64_t width : {1, 15, 33, 160, 300}) {
        Activations x = Spread(type, kRows * width, static_cast<unsigned>(width));
        Fp8Memory want(kRows, width, format);
        const Fp8Rows rows = fp8::WithSteps(want.rows, width);
        for (std::int64_t i = 0; i < kRows * width; ++i) {
          const std::int64_t begin = i % width / format.group * format.group;
          const std::int64_t row = i / width;
          float largest = 0;
          for (std::int64_t c = begin; c < std::min(begin + format.group, width); ++c)
            largest = fp8::Larger(largest, x.Get(row * width + c));
          const float scale = fp8::ScaleOf(largest, format);
          want.q[static_cast<std::size_t>(i)] = fp8::E4m3(x.Get(i) / scale);
          fp8::PutScale(rows, row, begin / format.group, scale);
        }
        Fp8Memory got(kRows, width, format);
        RunEveryRow(QuantiseKernels(), ArgsOf(x, type, kRows, width, got), [&] {
          EXPECT_TRUE(got == want) << "width " << width << ", group " << format.group;
        });
      }
    }
  }
}

TEST(Quantise, TakesItsEdges) {
  const float inf = HUGE_VALF;
  // Rows: nothing; the largest of both signs; what is clamped beside it; a NaN; infinities.
  std::vector<float> x = {0, -0.0f,         0,  0, 448, -448, 1, -0.0f, 449, -448.5f, 1e-4f, 0,
                          2, std::nanf(""), -1, 0, inf, -inf, 3, -3};
  Fp8Memory got(5, 4, {4, Fp8Scale::kF32});
  const QuantiseArgs args = {
      .x = x.data(), .fp8 = got.rows, .type = DType::kF32, .rows = 5, .width = 4};
  RunEveryRow(QuantiseKernels(), args, [&] {
    EXPECT_THAT(got.q, ElementsAre(0, 0x80, 0, 0,           //
                                   0x7e, 0xfe, 0x38, 0x80,  //
                                   0x7e, 0xfe, 0, 0,        //
                                   0x7e, 0x7f, 0xf6, 0,     //
                                   0x7f, 0x7f, 0, 0x80));
    EXPECT_EQ(got.Scale(0), 1e-4f / 448);
    EXPECT_EQ(got.Scale(1), 1);
    EXPECT_EQ(got.Scale(2), 449.0f / 448);
    EXPECT_EQ(got.Scale(3), 2.0f / 448);
    EXPECT_EQ(got.Scale(4), inf);
  });
}

TEST(Quantise, RoundsPowersOfTwoUp) {
  std::vector<float> x;
  for (int k = -20; k <= 100; ++k) {
    x.push_back(std::ldexp(448.0f, k));
    x.push_back(std::nextafterf(x.back(), HUGE_VALF));
  }
  const std::int64_t rows = std::ssize(x);
  Fp8Memory got(rows, 1, {1, Fp8Scale::kE8M0});
  const QuantiseArgs args = {
      .x = x.data(), .fp8 = got.rows, .type = DType::kF32, .rows = rows, .width = 1};
  RunEveryRow(QuantiseKernels(), args, [&] {
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(got.scale[i], 107 + (i + 1) / 2) << x[i];
  });
  x = {0, HUGE_VALF};
  x.resize(static_cast<std::size_t>(rows));
  RunEveryRow(QuantiseKernels(), args, [&] {
    EXPECT_EQ(got.scale[0], 127 - 22);
    EXPECT_EQ(got.scale[1], 255);
  });
}

// Behind a norm or a SwiGLU: the bytes of one after the other, and a row's are its own.
constexpr std::int64_t kRows = 9;

TEST(RmsNormQuantise, HasTheBitsOfItsParts) {
  for (const DType type : kTypes) {
    for (const DType out_type : kTypes) {
      for (const Fp8Format& format : kFormats) {
        for (const std::int64_t width : {1, 33, 250, 300}) {
          Activations x = Spread(type, kRows * width, 1);
          std::vector<float> weight(static_cast<std::size_t>(width));
          for (std::size_t i = 0; i < weight.size(); ++i)
            weight[i] = 0.5f + 0.01f * static_cast<float>(i);
          Activations out(out_type, kRows * width);
          Activations normed(out_type, kRows * width);
          Fp8Memory got(kRows, width, format);
          Fp8Memory want(kRows, width, format);
          const RmsNormQuantiseArgs args = {.x = x.data(),
                                            .weight = weight.data(),
                                            .out = out.data(),
                                            .fp8 = got.rows,
                                            .x_type = type,
                                            .out_type = out_type,
                                            .eps = 1e-6f,
                                            .rows = kRows,
                                            .width = width};
          ThreadPool pool(2);
          ForEachRow(RmsNormQuantiseKernels(), args, [&](const Kernel<RmsNormQuantiseArgs>& row) {
            RmsNormArgs norm;
            norm.x = x.data();
            norm.weight = weight.data();
            norm.out = normed.data();
            norm.x_type = type;
            norm.out_type = out_type;
            norm.rows = kRows;
            norm.width = width;
            norm.eps = 1e-6f;
            RunRow(RowIn(Folder(row.name), RmsNormKernels()), norm, pool);
            RunRow(RowIn(Folder(row.name), QuantiseKernels()),
                   ArgsOf(normed, out_type, kRows, width, want), pool);
            RunRow(row, args, pool);
            EXPECT_EQ(out.bytes(), normed.bytes());
            EXPECT_TRUE(got == want) << "width " << width << ", group " << format.group;
          });
        }
      }
    }
  }
}

TEST(SwigluQuantise, HasTheBitsOfItsParts) {
  for (const DType type : kTypes) {
    for (const Fp8Format& format : kFormats) {
      for (const std::int64_t width : {1, 33, 250, 300}) {
        Activations gate = Spread(type, kRows * width, 1);
        Activations up = Spread(type, kRows * width, 2);
        Activations product(type, kRows * width);
        Fp8Memory got(kRows, width, format);
        Fp8Memory want(kRows, width, format);
        const SwigluQuantiseArgs args = {.gate = gate.data(),
                                         .up = up.data(),
                                         .fp8 = got.rows,
                                         .type = type,
                                         .limit = 5,
                                         .rows = kRows,
                                         .width = width};
        const SwigluArgs swiglu = {.gate = gate.data(),
                                   .up = up.data(),
                                   .out = product.data(),
                                   .type = type,
                                   .rows = kRows,
                                   .width = width,
                                   .limit = 5};
        ThreadPool pool(2);
        ForEachRow(SwigluQuantiseKernels(), args, [&](const Kernel<SwigluQuantiseArgs>& row) {
          RunRow(RowIn(Folder(row.name), SwigluKernels()), swiglu, pool);
          RunRow(RowIn(Folder(row.name), QuantiseKernels()),
                 ArgsOf(product, type, kRows, width, want), pool);
          RunRow(row, args, pool);
          EXPECT_TRUE(got == want) << "width " << width << ", group " << format.group;
        });
      }
    }
  }
}

// Calls f(op, attributes of group 32) for the ops, which all read [T, 70] and end in q and scale.
template <class F>
void ForEachOp(F f) {
  f(kQuantise, WithFormat({}, 32));
  f(kRmsNormQuantise,
    WithFormat({{"eps", 1e-6}, {"out", static_cast<std::int64_t>(DType::kBF16)}}, 32));
  f(kSwigluQuantise, WithFormat({{"limit", 7.0}}, 32));
}

// Runs an op on rows of x [count, 70], `row` elements apart.
void RunRows(const OpDef& op, const Attributes& attributes, void* x, std::int64_t count,
             std::int64_t row, Fp8Memory& to) {
  std::vector<float> weight(70, 1.5f);
  Activations out(DType::kBF16, count * 70);
  Operand rows = Tensor(x, DType::kBF16, {count, 70});
  rows.row = row;
  std::vector<Operand> in = {rows};
  std::vector<Operand> results = {Tensor(to.q, DType::kF8E4M3, {count, 70}),
                                  Tensor(to.scale, DType::kF32, {count, 3})};
  if (&op == &kRmsNormQuantise) {
    in.push_back(Tensor(weight, DType::kF32, {70}));
    results.insert(results.begin(), Tensor(out.data(), DType::kBF16, {count, 70}));
  }
  if (&op == &kSwigluQuantise) in.push_back(rows);
  RunOp(op, attributes, in, results);
}

TEST(QuantiseOps, ARowAloneHasTheBytesItHasInABatch) {
  constexpr Fp8Format kFormat = {32, Fp8Scale::kF32};
  ForEachOp([&](const OpDef& op, const Attributes& attributes) {
    SCOPED_TRACE(std::string(op.name));
    Activations x = Spread(DType::kBF16, kRows * 70, 3);
    Fp8Memory all(kRows, 70, kFormat);
    RunRows(op, attributes, x.data(), kRows, 70, all);
    for (std::int64_t r = 0; r < kRows; ++r) {
      Fp8Memory one(1, 70, kFormat);
      RunRows(op, attributes, static_cast<std::uint16_t*>(x.data()) + r * 70, 1, 70, one);
      EXPECT_TRUE(all.HasRow(one, static_cast<std::size_t>(r), kRows)) << r;
    }
  });
}

TEST(QuantiseOps, NanAndInfStayInTheirRow) {
  constexpr Fp8Format kFormat = {32, Fp8Scale::kF32};
  ForEachOp([&](const OpDef& op, const Attributes& attributes) {
    SCOPED_TRACE(std::string(op.name));
    Activations x = Spread(DType::kBF16, kRows * 70, 4);
    Fp8Memory clean(kRows, 70, kFormat);
    RunRows(op, attributes, x.data(), kRows, 70, clean);
    for (std::int64_t r = 1; r < kRows; r += 2)
      x.Set(r * 70 + 40, r % 4 == 1 ? std::nanf("") : -HUGE_VALF);
    Fp8Memory got(kRows, 70, kFormat);
    RunRows(op, attributes, x.data(), kRows, 70, got);
    for (std::size_t r = 0; r < kRows; r += 2) {
      for (std::size_t i = r * 70; i < (r + 1) * 70; ++i) EXPECT_EQ(got.q[i], clean.q[i]);
      for (std::size_t i = r * 3; i < (r + 1) * 3; ++i) EXPECT_EQ(got.Scale(i), clean.Scale(i));
    }
    EXPECT_EQ(got.q[70 + 40], 0x7f);
  });
}

TEST(QuantiseOps, TakeColumnsOfWiderRows) {
  constexpr Fp8Format kFormat = {32, Fp8Scale::kF32};
  ForEachOp([&](const OpDef& op, const Attributes& attributes) {
    if (&op == &kSwigluQuantise) return;
    SCOPED_TRACE(std::string(op.name));
    Activations wide = Spread(DType::kBF16, kRows * 101, 5);
    Activations packed(DType::kBF16, kRows * 70);
    for (std::int64_t i = 0; i < kRows * 70; ++i)
      packed.Set(i, wide.Get(i / 70 * 101 + 11 + i % 70));
    Fp8Memory want(kRows, 70, kFormat);
    Fp8Memory got(kRows, 70, kFormat);
    RunRows(op, attributes, packed.data(), kRows, 70, want);
    RunRows(op, attributes, static_cast<std::uint16_t*>(wide.data()) + 11, kRows, 101, got);
    EXPECT_TRUE(got == want);
  });
}

TEST(QuantiseOps, GroupZeroIsTheWholeRow) {
  Activations x = Spread(DType::kBF16, kRows * 70, 6);
  ThreadPool pool(1);
  Fp8Memory want(kRows, 70, {70, Fp8Scale::kF32, kFp8RowFloor});
  RunRow(QuantiseKernels().back(), ArgsOf(x, DType::kBF16, kRows, 70, want), pool);
  Fp8Memory got(kRows, 70, want.rows.format);
  RunOp(kQuantise, WithFormat({}, 0, Fp8Scale::kF32, kFp8RowFloor),
        {Tensor(x.data(), DType::kBF16, {kRows, 70})},
        {Tensor(got.q, DType::kF8E4M3, {kRows, 70}), Tensor(got.scale, DType::kF32, {kRows, 1})});
  EXPECT_TRUE(got == want);
}

TEST(QuantiseOps, InferAndRefuse) {
  const ValueType x = Activation(DType::kBF16, {kT, Const(300)});
  const ValueType weight = {Kind::kVector, DType::kF32, {Const(300)}};
  EXPECT_EQ(Inferred(kQuantise, WithFormat({}, 128), {x}), "F8_E4M3 [T, 300]; F32 [T, 3]");
  EXPECT_EQ(Inferred(kQuantise, WithFormat({}, 0), {x}), "F8_E4M3 [T, 300]; F32 [T, 1]");
  EXPECT_EQ(Inferred(kQuantise, WithFormat({}, 32, Fp8Scale::kE8M0), {x}),
            "F8_E4M3 [T, 300]; F8_E8M0 [T, 10]");
  EXPECT_EQ(
      Inferred(kRmsNormQuantise, WithFormat({{"out", static_cast<std::int64_t>(DType::kF32)}}, 300),
               {x, weight}),
      "F32 [T, 300]; F8_E4M3 [T, 300]; F32 [T, 1]");
  EXPECT_EQ(Inferred(kSwigluQuantise, WithFormat({}, 150), {x, x}), "F8_E4M3 [T, 300]; F32 [T, 2]");
  EXPECT_THAT(Inferred(kQuantise, WithFormat({}, -1), {x}),
              HasSubstr("quantise: expected group of 0 or more columns, got -1"));
  EXPECT_THAT(Inferred(kQuantise, WithFormat({}, 32, static_cast<Fp8Scale>(3)), {x}),
              HasSubstr("expected scale to be a Fp8Scale, got 3"));
  EXPECT_THAT(Inferred(kQuantise, WithFormat({}, 32, Fp8Scale::kF32, 0), {x}),
              HasSubstr("expected floor in [1e-30, 1e30], got 0"));
  EXPECT_THAT(Inferred(kQuantise, WithFormat({}, 32), {Activation(DType::kI32, {kT, Const(3)})}),
              HasSubstr("quantise x: expected F32 or BF16"));
  EXPECT_THAT(Inferred(kRmsNormQuantise, WithFormat({{"out", std::int64_t{0}}}, 32), {x}),
              HasSubstr("expected 2 operands, got 1"));
  EXPECT_THAT(
      Inferred(kSwigluQuantise, WithFormat({}, 32), {x, Activation(DType::kF32, {kT, Const(300)})}),
      HasSubstr("swiglu_quantise up: expected BF16"));
}

// The op of the graph: with FP8 and without a norm, against the kernel.
class MhcBoundaryOp : public testing::Test {
 protected:
  static Attributes With(std::int64_t group) {
    return {{"iterations", std::int64_t{20}},
            {"rms_eps", 1e-6},
            {"pre_eps", 1e-6},
            {"sinkhorn_eps", 1e-6},
            {"post_mult", 2.0},
            {"norm_eps", 1e-6},
            {"fp8_group", group},
            {"fp8_scale", static_cast<std::int64_t>(Fp8Scale::kE8M0)}};
  }
};

TEST_F(MhcBoundaryOp, GivesFp8AndNeedsNoNorm) {
  MhcProblem p(3, 4, 70, DType::kBF16);
  constexpr Fp8Format kFormat = {32, Fp8Scale::kE8M0};
  for (const bool normed : {true, false}) {
    Activations streams(p.type, p.streams.size());
    Activations h(p.type, p.x.size());
    Fp8Memory want(3, 70, kFormat);
    MhcBoundaryArgs a = p.Boundary(streams, h);
    if (!normed) a.norm_weight = nullptr;
    a.fp8 = want.rows;
    ThreadPool pool(1);
    RunRow(RowIn("cpu/generic", MhcBoundaryKernels()), a, pool);

    Activations h_of_op(p.type, p.x.size());
    Fp8Memory got(3, 70, kFormat);
    std::vector<Operand> in = {
        Tensor(p.x.data(), p.type, {3, 70}),     Tensor(p.streams.data(), p.type, {3, 4, 70}),
        Tensor(p.post_in, DType::kF32, {3, 4}),  Tensor(p.comb_in, DType::kF32, {3, 4, 4}),
        Tensor(p.fn, DType::kF32, {24, 4 * 70}), Tensor(p.base, DType::kF32, {24}),
        Tensor(p.scale, DType::kF32, {3})};
    if (normed) in.push_back(Tensor(p.norm, DType::kF32, {70}));
    RunOp(kMhcBoundary, With(32), in,
          {Tensor(streams.data(), p.type, {3, 4, 70}), Tensor(p.pre, DType::kF32, {3, 4}),
           Tensor(p.post, DType::kF32, {3, 4}), Tensor(p.comb, DType::kF32, {3, 4, 4}),
           Tensor(h_of_op.data(), p.type, {3, 70}), Tensor(got.q, DType::kF8E4M3, {3, 70}),
           Tensor(got.scale, DType::kF8E8M0, {3, 3})});
    EXPECT_EQ(h_of_op.bytes(), h.bytes());
    EXPECT_TRUE(got == want);
  }
}

TEST_F(MhcBoundaryOp, InfersAndRefusesFp8) {
  const auto infer = [&](std::int64_t group, DType type, std::size_t operands) {
    std::vector<ValueType> in = {Activation(type, {kT, Const(64)}),
                                 Activation(type, {kT, Const(4), Const(64)}),
                                 Activation(DType::kF32, {kT, Const(4)}),
                                 Activation(DType::kF32, {kT, Const(4), Const(4)}),
                                 {Kind::kVector, DType::kF32, {Const(24), Const(256)}},
                                 {Kind::kVector, DType::kF32, {Const(24)}},
                                 {Kind::kVector, DType::kF32, {Const(3)}},
                                 {Kind::kVector, DType::kF32, {Const(64)}}};
    in.resize(operands);
    return Inferred(kMhcBoundary, With(group), in);
  };
  const std::string plain = "BF16 [T, 4, 64]; F32 [T, 4]; F32 [T, 4]; F32 [T, 4, 4]; BF16 [T, 64]";
  EXPECT_EQ(infer(0, DType::kBF16, 8), plain);
  EXPECT_EQ(infer(0, DType::kBF16, 7), plain);
  EXPECT_EQ(infer(32, DType::kBF16, 7), plain + "; F8_E4M3 [T, 64]; F8_E8M0 [T, 2]");
  EXPECT_EQ(infer(128, DType::kBF16, 8), plain + "; F8_E4M3 [T, 64]; F8_E8M0 [T, 1]");
  EXPECT_THAT(infer(0, DType::kBF16, 6), HasSubstr("expected 8 operands, got 6"));
  EXPECT_THAT(infer(64, DType::kBF16, 8), HasSubstr("expected fp8_group 0, 32 or 128, got 64"));
  EXPECT_THAT(infer(32, DType::kF32, 8), HasSubstr("streams with FP8: expected BF16"));
}

}  // namespace
}  // namespace birkhoff::ops
