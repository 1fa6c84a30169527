#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::Each;
using testing::FloatNear;
using testing::HasSubstr;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// One sequence of f32 at slot 1 of 2 whose step brings `count` tokens after `past`: every query and
// key is 1 in each channel, every sink -inf, until a test changes them.
struct OneSequence {
  static constexpr std::int64_t kHeads = 5;
  static constexpr std::int64_t kDim = 3;

  OneSequence(std::int64_t past_tokens, std::int64_t count, std::int64_t window)
      : past(past_tokens), end(static_cast<std::int32_t>(count)) {
    q.assign(static_cast<std::size_t>(count * kHeads * kDim), 1.0f);
    kv.assign(static_cast<std::size_t>(count * kDim), 1.0f);
    out.assign(q.size(), 0.0f);
    ring.assign(static_cast<std::size_t>(2 * (window + 2) * kDim), kNaN);
    sink.assign(kHeads, -HUGE_VALF);
    args = {.q = q.data(),
            .kv = kv.data(),
            .window_ring = {ring.data(), window + 2, kDim},
            .sink = sink.data(),
            .out = out.data(),
            .batch = {1, begin, &slot, &past},
            .type = DType::kF32,
            .tokens = count,
            .heads = kHeads,
            .dim = kDim,
            .window = window};
    for (std::int64_t p = past - window + 1; p < past; ++p) {
      if (p >= 0) SetPast(p, 1.0f);
    }
  }

  void SetPast(std::int64_t position, float value) {
    const std::int64_t capacity = args.window_ring.capacity;
    for (std::int64_t i = 0; i < kDim; ++i) ring[At((capacity + position % capacity), i)] = value;
  }
  void SetKey(std::int64_t token, float value) {
    for (std::int64_t i = 0; i < kDim; ++i) kv[At(token, i)] = value;
  }
  void AddEntries(std::int64_t ratio, std::int64_t count) {
    entries.assign(static_cast<std::size_t>(2 * count * kDim), kNaN);
    args.entries = {entries.data(), count, kDim};
    args.ratio = ratio;
    args.max_entries = count;
  }
  void SetEntry(std::int64_t w, float value) {
    for (std::int64_t i = 0; i < kDim; ++i) entries[At(args.entries.capacity + w, i)] = value;
  }
  static std::size_t At(std::int64_t row, std::int64_t i) {
    return static_cast<std::size_t>(row * kDim + i);
  }
  std::vector<float> Out(std::int64_t token) const {
    const auto first = out.begin() + token * kHeads * kDim;
    return {first, first + kHeads * kDim};
  }

  std::vector<float> q, kv, ring, entries, sink, out;
  std::int64_t past = 0;
  std::int32_t end = 0;
  const std::int32_t begin[2] = {0, end};
  const std::int32_t slot = 1;
  AttentionArgs args = {};
};

TEST(Attention, OneKeyWithoutASinkIsThatKey) {
  OneSequence s(0, 1, 4);
  s.SetKey(0, 0.75f);
  RunEveryRow(AttentionKernels(), s.args, [&] { EXPECT_THAT(s.out, Each(0.75f)); });
}

TEST(Attention, TheSinkTakesItsShare) {
  OneSequence s(0, 1, 4);
  s.sink.assign(OneSequence::kHeads, 3.0f + std::log(3.0f));  // the score of the key is 3
  RunEveryRow(AttentionKernels(), s.args,
              [&] { EXPECT_THAT(s.out, Each(FloatNear(0.25f, 1e-6f))); });
}

TEST(Attention, AHugeSinkLeavesNothing) {
  OneSequence s(0, 2, 4);
  s.sink.assign(OneSequence::kHeads, 1e30f);
  RunEveryRow(AttentionKernels(), s.args, [&] { EXPECT_THAT(s.out, Each(0.0f)); });
}

TEST(Attention, HugeScoresDoNotOverflow) {
  OneSequence s(0, 3, 4);
  s.args.scale = 1e30f;
  s.sink.assign(OneSequence::kHeads, 1.0f);
  RunEveryRow(AttentionKernels(), s.args,
              [&] { EXPECT_THAT(s.out, Each(FloatNear(1.0f, 1e-6f))); });
}

// A key at distance window - 1 is the last that a query sees.
TEST(Attention, TheWindowEndsWhereItShould) {
  for (const std::int64_t window : {1, 5, 127, 128, 129}) {
    const std::int64_t past = window + 40;
    OneSequence s(past, 2, window);
    if (window > 1) s.SetPast(past - window + 1, kNaN);
    if (window == 1) s.SetKey(0, kNaN);
    RunEveryRow(AttentionKernels(), s.args, [&] {
      EXPECT_TRUE(std::isnan(s.Out(0)[0])) << "window " << window;
      EXPECT_THAT(s.Out(1), Each(FloatNear(1.0f, 1e-6f))) << "window " << window;
    });
  }
}

TEST(Attention, SeesAnEntryFromTheTokenThatClosesIt) {
  OneSequence s(2, 3, 2);
  s.AddEntries(4, 2);
  s.SetEntry(0, 7.0f);
  s.args.scale = 0;  // equal weights
  RunEveryRow(AttentionKernels(), s.args, [&] {
    EXPECT_THAT(s.Out(0), Each(1.0f));
    EXPECT_THAT(s.Out(1), Each(FloatNear(3.0f, 1e-6f)));
    EXPECT_THAT(s.Out(2), Each(FloatNear(3.0f, 1e-6f)));
  });
}

TEST(Attention, ReadsOnlySelectedEntries) {
  OneSequence s(15, 1, 1);
  s.AddEntries(4, 4);
  s.SetEntry(1, 3.0f);
  s.SetEntry(3, 8.0f);
  const std::int32_t selected[] = {1, 3};
  s.args.selected = selected;
  s.args.topk = 2;
  s.args.scale = 0;
  RunEveryRow(AttentionKernels(), s.args,
              [&] { EXPECT_THAT(s.out, Each(FloatNear(4.0f, 1e-6f))); });
}

TEST(Attention, ANaNQueryHarmsOnlyItsHead) {
  OneSequence s(0, 3, 4);
  s.q[(1 * OneSequence::kHeads + 2) * OneSequence::kDim] = kNaN;
  RunEveryRow(AttentionKernels(), s.args, [&] {
    for (std::size_t i = 0; i < s.out.size(); ++i) {
      const bool harmed = i / OneSequence::kDim == 1 * OneSequence::kHeads + 2;
      EXPECT_EQ(std::isnan(s.out[i]), harmed) << i;
    }
  });
}

TEST(Attention, ANaNKeyHarmsOnlyThoseThatSeeIt) {
  OneSequence s(0, 6, 2);
  s.SetKey(2, kNaN);
  RunEveryRow(AttentionKernels(), s.args, [&] {
    for (std::int64_t t = 0; t < 6; ++t)
      EXPECT_EQ(std::isnan(s.Out(t)[0]), t == 2 || t == 3) << "token " << t;
  });
}

TEST(Attention, NoSequenceIsNoWork) {
  AttentionArgs args{.heads = 4, .dim = 16, .window = 5};
  RunEveryRow(AttentionKernels(), args, [] {});
}

// The op finds its operands and attributes where defs.h says: window only, with entries, and with
// some of them selected.
TEST(Attention, RunsAsAnOp) {
  OneSequence s(16, 1, 2);
  s.args.scale = 0;  // equal weights
  s.SetPast(15, 3.0f);
  s.SetKey(0, 5.0f);
  s.AddEntries(4, 4);
  for (std::int64_t w = 0; w < 4; ++w) s.SetEntry(w, static_cast<float>(w));
  std::vector<std::int32_t> selected = {1, 3};

  constexpr DType kF = DType::kF32;
  constexpr std::int64_t kH = OneSequence::kHeads;
  constexpr std::int64_t kD = OneSequence::kDim;
  const std::vector<Operand> in = {
      Tensor(s.q, kF, {1, kH, kD}),      Tensor(s.kv, kF, {1, kD}),
      Tensor(s.ring, kF, {2, 4, kD}),    Tensor(s.sink, kF, {kH}),
      Tensor(s.entries, kF, {2, 4, kD}), Tensor(selected, DType::kI32, {1, 2})};
  const auto run = [&](std::size_t operands, std::int64_t ratio) {
    RunOp(kAttention,
          {{"window", std::int64_t{2}},
           {"ratio", ratio},
           {"max_entries", std::int64_t{ratio > 0 ? 4 : 0}},
           {"scale", 0.0},
           {"out", static_cast<std::int64_t>(kF)}},
          {in.begin(), in.begin() + static_cast<std::ptrdiff_t>(operands)},
          {Tensor(s.out, kF, {1, kH, kD})}, s.args.batch);
    return s.out;
  };
  EXPECT_THAT(run(4, 0), Each(FloatNear((3 + 5) / 2.0f, 1e-6f)));
  EXPECT_THAT(run(5, 4), Each(FloatNear((3 + 5 + 0 + 1 + 2 + 3) / 6.0f, 1e-6f)));
  EXPECT_THAT(run(6, 4), Each(FloatNear((3 + 5 + 1 + 3) / 4.0f, 1e-6f)));
}

// ---- types

const Extent kT{1, Symbol::kTokens};

struct Types {
  ValueType q = {Kind::kActivation, DType::kBF16, {kT, Const(4), Const(16)}};
  ValueType kv = {Kind::kActivation, DType::kBF16, {kT, Const(16)}};
  ValueType ring = {Kind::kState, DType::kBF16, {Const(2), Const(8), Const(16)}};
  ValueType sink = {Kind::kVector, DType::kF32, {Const(4)}};
  ValueType entries = {Kind::kState, DType::kBF16, {Const(2), Const(100), Const(16)}};
  ValueType selected = {Kind::kActivation, DType::kI32, {kT, Const(3)}};
  std::int64_t ratio = 4;
  std::int64_t max_entries = 100;

  Result<std::vector<ValueType>> Infer(std::size_t operands) const {
    const std::vector<ValueType> all = {q, kv, ring, sink, entries, selected};
    return kAttention.infer({{"window", std::int64_t{5}},
                             {"ratio", ratio},
                             {"max_entries", max_entries},
                             {"scale", 0.25},
                             {"out", static_cast<std::int64_t>(DType::kF32)}},
                            std::span(all).first(operands));
  }
  std::string Refusal(std::size_t operands) const { return Infer(operands).status().message(); }
};

TEST(AttentionTypes, ResultHasTheShapeOfTheQuery) {
  const auto result = Types().Infer(6);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result.value().size(), 1u);
  EXPECT_EQ(result.value()[0].ToString(), "F32 [T, 4, 16]");
  EXPECT_TRUE(Types().Infer(5).ok());
}

TEST(AttentionTypes, NamesWhatDoesNotFit) {
  EXPECT_THAT(Types().Refusal(3), HasSubstr("expected 4 operands, got 3"));
  EXPECT_THAT(Types().Refusal(4), HasSubstr("ratio 4 needs entries"));
  Types t;
  t.kv.shape[1] = Const(15);
  EXPECT_THAT(t.Refusal(6), HasSubstr("attention kv: expected [T, 16]"));
  t = {};
  t.ring.shape[1] = Const(4);
  EXPECT_THAT(t.Refusal(6), HasSubstr("window state: expected at least 5 rows"));
  t = {};
  t.max_entries = 101;
  EXPECT_THAT(t.Refusal(6), HasSubstr("entries: expected at least 101 rows"));
  t = {};
  t.selected.dtype = DType::kF32;
  EXPECT_THAT(t.Refusal(6), HasSubstr("attention selected: expected I32"));
  t = {};
  t.sink.shape[0] = Const(5);
  EXPECT_THAT(t.Refusal(6), HasSubstr("attention sink: expected [4]"));
}

}  // namespace
}  // namespace birkhoff::ops
