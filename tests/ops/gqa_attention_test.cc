#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
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
constexpr DType kF = DType::kF32;

// One sequence of f32 at slot 1 of 2 whose step brings `count` tokens after `past`: every query is
// 1 in each channel, every key 1, the value at position p is p, until a test changes them. Rows
// that nobody wrote are NaN.
struct OneSequence {
  static constexpr std::int64_t kHeads = 6;
  static constexpr std::int64_t kKeyHeads = 2;
  static constexpr std::int64_t kDim = 3;
  static constexpr std::int64_t kValueDim = 5;

  OneSequence(std::int64_t past_tokens, std::int64_t count, std::int64_t spare = 2)
      : past(past_tokens), end(static_cast<std::int32_t>(count)) {
    const std::int64_t capacity = past + count + spare;
    q.assign(static_cast<std::size_t>(count * kHeads * kDim), 1.0f);
    keys.assign(static_cast<std::size_t>(2 * capacity * kKeyHeads * kDim), kNaN);
    values.assign(static_cast<std::size_t>(2 * capacity * kKeyHeads * kValueDim), kNaN);
    out.assign(static_cast<std::size_t>(count * kHeads * kValueDim), 0.0f);
    args = {.q = q.data(),
            .keys = {keys.data(), capacity, kKeyHeads * kDim},
            .values = {values.data(), capacity, kKeyHeads * kValueDim},
            .out = out.data(),
            .batch = {1, begin, &slot, &past},
            .type = kF,
            .out_type = kF,
            .tokens = count,
            .heads = kHeads,
            .key_heads = kKeyHeads,
            .dim = kDim,
            .value_dim = kValueDim};
    for (std::int64_t p = 0; p < past + count; ++p) {
      for (std::int64_t g = 0; g < kKeyHeads; ++g) {
        SetKey(p, g, 1.0f);
        SetValue(p, g, static_cast<float>(p));
      }
    }
  }

  void SetKey(std::int64_t p, std::int64_t g, float x) {
    const std::int64_t row = (args.keys.capacity + p) * kKeyHeads + g;
    std::fill_n(keys.begin() + row * kDim, kDim, x);
  }
  void SetValue(std::int64_t p, std::int64_t g, float x) {
    const std::int64_t row = (args.keys.capacity + p) * kKeyHeads + g;
    std::fill_n(values.begin() + row * kValueDim, kValueDim, x);
  }
  std::vector<float> Out(std::int64_t token, std::int64_t head) const {
    const auto first = out.begin() + (token * kHeads + head) * kValueDim;
    return {first, first + kValueDim};
  }

  std::vector<float> q, keys, values, out;
  std::int64_t past = 0;
  std::int32_t end = 0;
  const std::int32_t begin[2] = {0, end};
  const std::int32_t slot = 1;
  GqaAttentionArgs args = {};
};

TEST(GqaAttention, TheFirstTokenIsItsOwnValue) {
  OneSequence s(0, 1);
  for (std::int64_t g = 0; g < 2; ++g) s.SetValue(0, g, 0.75f);
  RunEveryRow(GqaAttentionKernels(), s.args, [&] { EXPECT_THAT(s.out, Each(0.75f)); });
}

// Equal scores: the mean of the positions up to the token's own, whatever stands behind it.
TEST(GqaAttention, SeesAllPositionsUpToItsOwn) {
  for (const std::int64_t past : {0, 1, 30, 31, 32, 33, 100}) {
    OneSequence s(past, 40, past % 2);  // also when the state is full
    RunEveryRow(GqaAttentionKernels(), s.args, [&] {
      for (std::int64_t t = 0; t < 40; ++t)
        EXPECT_THAT(s.Out(t, t % OneSequence::kHeads),
                    Each(FloatNear(static_cast<float>(past + t) / 2, 1e-4f)))
            << past << " + " << t;
    });
  }
}

TEST(GqaAttention, HeadsShareKeyHeadsInOrder) {
  OneSequence s(4, 2);
  for (std::int64_t p = 0; p < 6; ++p) {
    s.SetValue(p, 0, 10.0f);
    s.SetValue(p, 1, 20.0f);
  }
  RunEveryRow(GqaAttentionKernels(), s.args, [&] {
    for (std::int64_t h = 0; h < OneSequence::kHeads; ++h)
      EXPECT_THAT(s.Out(1, h), Each(FloatNear(h < 3 ? 10.0f : 20.0f, 1e-5f))) << "head " << h;
  });
}

// Every block of keys has larger scores than all before it, far beyond what exp can hold.
TEST(GqaAttention, FollowsARisingMaximum) {
  constexpr std::int64_t kPast = 200;
  OneSequence s(kPast, 2);
  for (std::int64_t p = 0; p < kPast + 2; ++p) {
    for (std::int64_t g = 0; g < 2; ++g) s.SetKey(p, g, static_cast<float>(100 * p));
  }
  RunEveryRow(GqaAttentionKernels(), s.args, [&] {
    EXPECT_THAT(s.Out(0, 0), Each(static_cast<float>(kPast)));
    EXPECT_THAT(s.Out(1, 5), Each(static_cast<float>(kPast + 1)));
  });
}

TEST(GqaAttention, HugeScoresDoNotOverflow) {
  for (const float scale : {1e30f, -1e30f}) {
    OneSequence s(40, 3);
    s.args.scale = scale;
    RunEveryRow(GqaAttentionKernels(), s.args,
                [&] { EXPECT_THAT(s.Out(0, 3), Each(FloatNear(20.0f, 1e-4f))); });
  }
}

// A block whose scores are all -inf weighs nothing beside one whose are not.
TEST(GqaAttention, AScoreOfMinusInfinityIsNoWeight) {
  OneSequence s(40, 1);
  for (std::int64_t p = 0; p < 40; ++p) s.SetKey(p, 0, -HUGE_VALF);
  RunEveryRow(GqaAttentionKernels(), s.args, [&] { EXPECT_THAT(s.Out(0, 0), Each(40.0f)); });
}

TEST(GqaAttention, ANaNQueryHarmsOnlyItsHead) {
  OneSequence s(33, 3);
  s.q[(1 * OneSequence::kHeads + 2) * OneSequence::kDim] = kNaN;
  RunEveryRow(GqaAttentionKernels(), s.args, [&] {
    for (std::size_t i = 0; i < s.out.size(); ++i) {
      const bool harmed = i / OneSequence::kValueDim == 1 * OneSequence::kHeads + 2;
      EXPECT_EQ(std::isnan(s.out[i]), harmed) << i;
    }
  });
}

TEST(GqaAttention, ANaNKeyOrValueHarmsOnlyThoseThatSeeIt) {
  OneSequence s(30, 6);
  s.SetKey(32, 0, kNaN);
  s.SetValue(33, 1, kNaN);
  RunEveryRow(GqaAttentionKernels(), s.args, [&] {
    for (std::int64_t t = 0; t < 6; ++t) {
      EXPECT_EQ(std::isnan(s.Out(t, 1)[4]), t >= 2) << "token " << t;
      EXPECT_EQ(std::isnan(s.Out(t, 4)[0]), t >= 3) << "token " << t;
    }
  });
}

TEST(GqaAttention, LatentValuesAreTheFirstChannelsOfTheKeys) {
  OneSequence s(0, 2);
  s.args.values = {};
  s.args.value_dim = 2;
  s.args.scale = 0;  // equal weights
  s.args.key_heads = 1;
  s.args.keys = {s.keys.data(), 8, OneSequence::kDim};
  for (std::size_t i = 0; i < 6; ++i)
    s.keys[8 * OneSequence::kDim + i] = static_cast<float>(i);  // [0, 1, 2] and [3, 4, 5]
  RunEveryRow(GqaAttentionKernels(), s.args, [&] {
    for (std::size_t h = 0; h < 6; ++h) {
      EXPECT_EQ(s.out[2 * h], 0.0f);
      EXPECT_EQ(s.out[2 * h + 1], 1.0f);
      EXPECT_EQ(s.out[12 + 2 * h], 1.5f);
      EXPECT_EQ(s.out[12 + 2 * h + 1], 2.5f);
    }
  });
}

TEST(GqaAttention, NoSequenceIsNoWork) {
  const GqaAttentionArgs args{.heads = 4, .key_heads = 2, .dim = 16, .value_dim = 16};
  RunEveryRow(GqaAttentionKernels(), args, [] {});
}

// A plan asks once, for its largest step and all its threads.
TEST(GqaAttention, ScratchOfTheLargestStepServesEverySmallerOne) {
  const auto& row = GqaAttentionKernels()[0];
  GqaAttentionArgs a{.tokens = 512, .heads = 128, .dim = 576, .value_dim = 512};
  const std::size_t planned = row.scratch(a, 8);
  for (a.tokens = 0; a.tokens < 512; a.tokens += 7) {
    for (int threads = 1; threads <= 8; ++threads) EXPECT_LE(row.scratch(a, threads), planned);
  }
}

// The op finds its operands and attributes where defs.h says.
TEST(GqaAttention, RunsAsAnOp) {
  OneSequence s(1, 1);
  const std::vector<Operand> in = {Tensor(s.q, kF, {1, 6, 3}), Tensor(s.keys, kF, {2, 4, 6}),
                                   Tensor(s.values, kF, {2, 4, 10})};
  const auto run = [&](std::size_t operands, std::int64_t value_dim) {
    RunOp(kGqaAttention,
          {{"key_heads", std::int64_t{2}},
           {"value_dim", value_dim},
           {"scale", 0.5},
           {"out", static_cast<std::int64_t>(kF)}},
          {in.begin(), in.begin() + static_cast<std::ptrdiff_t>(operands)},
          {Tensor(s.out, kF, {1, 6, value_dim})}, s.args.batch);
  };
  run(3, 5);
  EXPECT_THAT(s.out, Each(0.5f));
  std::fill(s.out.begin(), s.out.end(), 7.0f);
  run(2, 2);
  s.out.resize(12);
  EXPECT_THAT(s.out, Each(1.0f));  // the keys
}

// ---- the bits of a sequence do not depend on its steps

struct Heads {
  std::int64_t heads = 0;
  std::int64_t key_heads = 0;
  std::int64_t dim = 0;
  std::int64_t value_dim = 0;
  bool latent = false;

  std::int64_t key_width() const { return key_heads * dim; }
  std::int64_t value_width() const { return key_heads * value_dim; }
};

using Floats = std::vector<float>;

// Sequences of one length and their states, run by one kernel.
class Layer {
 public:
  static constexpr std::int64_t kLength = 117;
  static constexpr std::int64_t kSequences = 3;

  Layer(const Heads& heads, const Kernel<GqaAttentionArgs>& row, ThreadPool& pool)
      : h_(heads), row_(row), pool_(pool) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto make = [&](std::int64_t width) {
      Floats x(static_cast<std::size_t>(kSequences * kLength * width));
      for (float& v : x) v = normal(random);
      return x;
    };
    q_ = make(h_.heads * h_.dim);
    keys_ = make(h_.key_width());
    values_ = make(h_.value_width());
  }

  // What the tokens [past, past + count) of the sequences give in one step; count 0 stays away.
  void Step(const std::vector<std::int64_t>& past, const std::vector<std::int64_t>& count,
            Floats& out) {
    std::vector<std::int32_t> begin = {0};
    std::vector<std::int32_t> slot;
    std::vector<std::int64_t> before;
    Floats q;
    const std::int64_t q_row = h_.heads * h_.dim;
    for (std::int64_t s = kSequences - 1; s >= 0; --s) {
      const auto i = static_cast<std::size_t>(s);
      if (count[i] == 0) continue;
      const auto first = q_.begin() + (s * kLength + past[i]) * q_row;
      q.insert(q.end(), first, first + count[i] * q_row);
      begin.push_back(begin.back() + static_cast<std::int32_t>(count[i]));
      slot.push_back(static_cast<std::int32_t>(s));
      before.push_back(past[i]);
    }
    Floats step(static_cast<std::size_t>(begin.back() * h_.heads * h_.value_dim));
    // Positions that are not there yet are NaN.
    Floats keys = Written(keys_, h_.key_width(), past, count);
    Floats values = Written(values_, h_.value_width(), past, count);
    GqaAttentionArgs a = {.q = q.data(),
                          .keys = {keys.data(), kLength, h_.key_width()},
                          .out = step.data(),
                          .type = kF,
                          .out_type = kF,
                          .tokens = begin.back(),
                          .heads = h_.heads,
                          .key_heads = h_.key_heads,
                          .dim = h_.dim,
                          .value_dim = h_.value_dim,
                          .scale = 0.7f};
    if (!h_.latent) a.values = {values.data(), kLength, h_.value_width()};
    a.batch = {static_cast<std::int64_t>(slot.size()), begin.data(), slot.data(), before.data()};
    RunRow(row_, a, pool_);
    const std::int64_t row = h_.heads * h_.value_dim;
    out.resize(static_cast<std::size_t>(kSequences * kLength * row));
    for (std::size_t i = 0; i < slot.size(); ++i)
      std::copy_n(step.begin() + begin[i] * row, (begin[i + 1] - begin[i]) * row,
                  out.begin() + (slot[i] * kLength + before[i]) * row);
  }

 private:
  static Floats Written(Floats rows, std::int64_t width, const std::vector<std::int64_t>& past,
                        const std::vector<std::int64_t>& count) {
    for (std::int64_t s = 0; s < kSequences; ++s) {
      const std::int64_t end =
          past[static_cast<std::size_t>(s)] + count[static_cast<std::size_t>(s)];
      std::fill(rows.begin() + (s * kLength + end) * width,
                rows.begin() + (s + 1) * kLength * width, kNaN);
    }
    return rows;
  }

  const Heads h_;
  const Kernel<GqaAttentionArgs>& row_;
  ThreadPool& pool_;
  Floats q_, keys_, values_;
};

class GqaChunking : public testing::TestWithParam<Heads> {};

TEST_P(GqaChunking, DoesNotChangeABit) {
  ThreadPool pool(2);
  ForEachRow(GqaAttentionKernels(), {}, [&](const Kernel<GqaAttentionArgs>& row) {
    Layer layer(GetParam(), row, pool);
    constexpr std::int64_t kLength = Layer::kLength;
    Floats alone;
    for (std::size_t s = 0; s < Layer::kSequences; ++s) {
      for (std::int64_t t = 0; t < kLength; ++t) {
        std::vector<std::int64_t> past(Layer::kSequences), count(Layer::kSequences);
        past[s] = t;
        count[s] = 1;
        layer.Step(past, count, alone);
      }
    }
    EXPECT_TRUE(std::none_of(alone.begin(), alone.end(), [](float x) { return std::isnan(x); }));
    const auto expect_same = [&](const Floats& out) {
      EXPECT_EQ(std::memcmp(out.data(), alone.data(), alone.size() * sizeof(float)), 0);
    };
    Floats whole;
    layer.Step({0, 0, 0}, {kLength, kLength, kLength}, whole);
    expect_same(whole);

    std::mt19937 random(9);
    constexpr std::int64_t kChunks[] = {0, 1, 1, 3, 15, 16, 17, 31, 32, 33, 64};
    Floats cut;
    std::vector<std::int64_t> past(Layer::kSequences), count(Layer::kSequences);
    while (*std::min_element(past.begin(), past.end()) < kLength) {
      for (std::size_t s = 0; s < Layer::kSequences; ++s)
        count[s] = std::min(kChunks[random() % std::size(kChunks)], kLength - past[s]);
      layer.Step(past, count, cut);
      for (std::size_t s = 0; s < Layer::kSequences; ++s) past[s] += count[s];
    }
    expect_same(cut);
  });
}

INSTANTIATE_TEST_SUITE_P(, GqaChunking,
                         testing::Values(Heads{5, 5, 16, 12}, Heads{8, 2, 20, 24},
                                         Heads{14, 2, 33, 16}, Heads{70, 1, 24, 16, true}),
                         [](const auto& test) {
                           return "H" + std::to_string(test.param.heads) + "_G" +
                                  std::to_string(test.param.key_heads);
                         });

// ---- types

const Extent kT{1, Symbol::kTokens};

struct Types {
  ValueType q = {Kind::kActivation, DType::kBF16, {kT, Const(8), Const(16)}};
  ValueType keys = {Kind::kState, DType::kBF16, {Const(2), Const(100), Const(32)}};
  ValueType values = {Kind::kState, DType::kBF16, {Const(2), Const(100), Const(24)}};
  std::int64_t key_heads = 2;
  std::int64_t value_dim = 12;

  std::string Infer(std::size_t operands) const {
    std::vector<ValueType> in = {q, keys, values};
    in.resize(operands);
    return Inferred(kGqaAttention,
                    {{"key_heads", key_heads},
                     {"value_dim", value_dim},
                     {"scale", 0.25},
                     {"out", static_cast<std::int64_t>(kF)}},
                    in);
  }
};

TEST(GqaAttentionTypes, ResultHasAValueForEveryHead) {
  EXPECT_EQ(Types().Infer(3), "F32 [T, 8, 12]");
  EXPECT_EQ(Types().Infer(2), "F32 [T, 8, 12]");
}

TEST(GqaAttentionTypes, NamesWhatDoesNotFit) {
  EXPECT_THAT(Types().Infer(1), HasSubstr("expected 3 operands, got 1"));
  Types t;
  t.key_heads = 3;
  EXPECT_THAT(t.Infer(3), HasSubstr("q: expected a multiple of 3 heads, got BF16 [T, 8, 16]"));
  t.key_heads = 0;
  EXPECT_THAT(t.Infer(3), HasSubstr("key_heads: expected at least 1, got 0"));
  t = {};
  t.keys.shape[2] = Const(31);
  EXPECT_THAT(t.Infer(3), HasSubstr("gqa_attention keys: expected [2, 100, 32]"));
  t = {};
  t.values.dtype = kF;
  EXPECT_THAT(t.Infer(3), HasSubstr("gqa_attention values: expected BF16"));
  t = {};
  t.values.shape[1] = Const(99);
  EXPECT_THAT(t.Infer(3), HasSubstr("values: expected at least 100 rows"));
  t = {};
  t.value_dim = 17;
  EXPECT_THAT(t.Infer(2), HasSubstr("expected at most the 16 channels of a key, got 17"));
}

}  // namespace
}  // namespace birkhoff::ops
