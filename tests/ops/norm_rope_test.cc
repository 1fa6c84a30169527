// The fused norms, rotations and cache writes: the bits of the ops that they stand for, of rows
// that lie between NaNs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::HasSubstr;

constexpr Extent kT{1, Symbol::kTokens};
constexpr auto kToBf16 = static_cast<std::int64_t>(DType::kBF16);

// Elements of either type, NaN until they are filled.
struct Array {
  DType type = DType::kF32;
  std::vector<float> words = {};

  Array(DType t, std::int64_t count)
      : type(t), words(static_cast<std::size_t>(count), std::numeric_limits<float>::quiet_NaN()) {
    std::memset(words.data(), 0xff, words.size() * sizeof(float));
  }
  void* data() { return words.data(); }
  void* At(std::int64_t i) {
    return reinterpret_cast<std::byte*>(words.data()) + i * static_cast<std::int64_t>(SizeOf(type));
  }
  void Set(std::int64_t i, double x) {
    const auto value = static_cast<float>(x);
    if (type == DType::kF32) {
      std::memcpy(At(i), &value, sizeof(value));
    } else {
      const bf16 half(value);
      std::memcpy(At(i), &half, sizeof(half));
    }
  }
  // Rows of `width` that begin at `at` and are `row` apart, with numbers that repeat nowhere soon.
  void Fill(std::int64_t rows, std::int64_t width, std::int64_t row, std::int64_t at) {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < width; ++c)
        Set(r * row + at + c, std::sin(static_cast<double>(r * 7919 + c * 31 + at + 1)) * 3 + 0.25);
    }
  }
  bool operator==(const Array& o) const {
    return std::memcmp(words.data(), o.words.data(), words.size() * sizeof(float)) == 0;
  }
};

// Another one for each `shift`, so that two norms of an op are not taken for each other.
std::vector<float> Weight(std::int64_t width, std::size_t shift = 0) {
  std::vector<float> w(static_cast<std::size_t>(width));
  for (std::size_t i = 0; i < w.size(); ++i)
    w[i] = 1 + 0.25f * std::sin(static_cast<float>(3 * i + shift));
  return w;
}

std::vector<float> Angles(std::int64_t tokens, std::int64_t pairs) {
  std::vector<float> table(static_cast<std::size_t>(2 * tokens * pairs));
  for (std::size_t i = 0; i < table.size(); i += 2) {
    table[i] = std::cos(0.37f * static_cast<float>(i));
    table[i + 1] = std::sin(0.37f * static_cast<float>(i));
  }
  return table;
}

// Runs the unfused op with the kernel of the folder of the fused one.
template <class Args>
void RunPart(std::string_view fused, std::span<const Kernel<Args>> table, const Args& args) {
  ThreadPool pool(1);
  RunRow(RowIn(Folder(fused), table), args, pool);
}

TEST(DualRmsNorm, IsTheNormOfEachSide) {
  for (const DType type : {DType::kBF16, DType::kF32}) {
    constexpr std::int64_t kRows = 9;
    constexpr std::int64_t kRow = 96;
    const std::vector<float> weight = Weight(50);
    const std::vector<float> other = Weight(32, 1);
    Array x(type, kRows * kRow);
    x.Fill(kRows, 50, kRow, 3);
    x.Fill(kRows, 32, kRow, 56);  // NaN before, between and behind
    Array out0(DType::kBF16, kRows * 50);
    Array out1(DType::kF32, kRows * 32);
    DualRmsNormArgs args;
    args.first = {x.At(3), weight.data(), out0.data(), type, DType::kBF16, kRows, 50, 1e-6f, kRow};
    args.second = {x.At(56), other.data(), out1.data(), type, DType::kF32, kRows, 32, 1e-2f, kRow};
    ThreadPool pool(2);
    ForEachRow(DualRmsNormKernels(), args, [&](const Kernel<DualRmsNormArgs>& row) {
      RunRow(row, args, pool);
      Array each0(DType::kBF16, kRows * 50);
      Array each1(DType::kF32, kRows * 32);
      RmsNormArgs first = args.first;
      first.out = each0.data();
      RunPart(row.name, RmsNormKernels(), first);
      RmsNormArgs second = args.second;
      second.out = each1.data();
      RunPart(row.name, RmsNormKernels(), second);
      EXPECT_TRUE(out0 == each0);
      EXPECT_TRUE(out1 == each1);
      EXPECT_FALSE(std::isnan(out1.words[0]));
    });
  }
}

TEST(DualRmsNorm, ARowAloneHasTheBitsThatItHasAmongOthers) {
  constexpr std::int64_t kRows = 130;
  const std::vector<float> weight = Weight(40);
  Array x(DType::kBF16, kRows * 64);
  x.Fill(kRows, 64, 64, 0);
  Array all(DType::kF32, kRows * 64);
  const auto args_of = [&](std::int64_t first, std::int64_t rows, Array& out) {
    DualRmsNormArgs a;
    a.first = {x.At(first * 64),
               weight.data(),
               out.data(),
               DType::kBF16,
               DType::kF32,
               rows,
               40,
               1e-6f,
               64};
    a.second = {x.At(first * 64 + 40),
                weight.data(),
                out.At(rows * 40),
                DType::kBF16,
                DType::kF32,
                rows,
                24,
                1e-6f,
                64};
    return a;
  };
  const DualRmsNormArgs args = args_of(0, kRows, all);
  ThreadPool pool(2);
  ForEachRow(DualRmsNormKernels(), args, [&](const Kernel<DualRmsNormArgs>& row) {
    RunRow(row, args, pool);
    for (const std::int64_t r : {0, 1, 64, 129}) {
      Array alone(DType::kF32, 64);
      RunRow(row, args_of(r, 1, alone), pool);
      EXPECT_EQ(std::memcmp(alone.data(), all.At(r * 40), 40 * 4), 0) << r;
      EXPECT_EQ(std::memcmp(alone.At(40), all.At(kRows * 40 + r * 24), 24 * 4), 0) << r;
    }
  });
}

// Every pairing, with and without a span that is a multiple of sixteen, of columns or in place.
TEST(NormRope, IsTheNormInF32AndThenTheRotation) {
  constexpr std::int64_t kTokens = 5;
  constexpr std::int64_t kHeads = 3;
  for (const std::int64_t dim : {64, 83}) {
    const std::int64_t pairs = dim == 64 ? 32 : 21;
    for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalf}) {
      for (const DType type : {DType::kBF16, DType::kF32}) {
        const std::int64_t row = dim + 5;
        const std::vector<float> weight = Weight(dim);
        const std::vector<float> table = Angles(kTokens, pairs);
        Array x(type, kTokens * kHeads * row);
        x.Fill(kTokens * kHeads, dim, row, 2);
        Array out(DType::kBF16, kTokens * kHeads * dim);
        NormRopeArgs args{{.x = x.At(2),
                           .table = table.data(),
                           .out = out.data(),
                           .x_type = type,
                           .out_type = DType::kBF16,
                           .tokens = kTokens,
                           .heads = kHeads,
                           .dim = dim,
                           .pairs = pairs,
                           .pairing = pairing,
                           .x_row = row},
                          weight.data(),
                          1e-6f};
        ThreadPool pool(1);
        ForEachRow(NormRopeKernels(), args, [&](const Kernel<NormRopeArgs>& kernel) {
          RunRow(kernel, args, pool);
          Array normed(DType::kF32, kTokens * kHeads * dim);
          RunPart(kernel.name, RmsNormKernels(),
                  {x.At(2), weight.data(), normed.data(), type, DType::kF32, kTokens * kHeads, dim,
                   1e-6f, row});
          Array turned(DType::kBF16, kTokens * kHeads * dim);
          RopeArgs rope = args.rope;
          rope.x = normed.data();
          rope.x_type = DType::kF32;
          rope.x_row = 0;
          rope.out = turned.data();
          RunPart(kernel.name, RopeKernels(), rope);
          EXPECT_TRUE(out == turned);

          Array own(DType::kBF16, kTokens * kHeads * dim);
          own.Fill(kTokens * kHeads, dim, dim, 0);
          Array copy = own;
          NormRopeArgs apart = args;
          apart.rope.x = copy.data();
          apart.rope.x_type = DType::kBF16;
          apart.rope.x_row = 0;
          RunRow(kernel, apart, pool);
          apart.rope.x = apart.rope.out = own.data();
          RunRow(kernel, apart, pool);
          EXPECT_TRUE(own == out) << "in place";
        });
      }
    }
  }
}

// Two sequences, the first longer than the ring.
struct Steps {
  std::int32_t begin[3] = {0, 7, 9};
  std::int32_t slot[2] = {2, 0};
  std::int64_t past[2] = {3, 10};
  static constexpr std::int64_t kTokens = 9;
  static constexpr std::int64_t kCapacity = 4;
  static constexpr std::int64_t kRows = 3 * kCapacity;

  SequenceBatch batch() const { return {2, begin, slot, past}; }
};

// As three heads apart and as columns of one projection.
TEST(NormRopeWrite, IsNormRopeAndTwoWrites) {
  const Steps steps;
  constexpr std::int64_t kT9 = Steps::kTokens;
  constexpr std::int64_t kHeads = 4;
  constexpr std::int64_t kKeyHeads = 2;
  constexpr std::int64_t kDim = 40;
  constexpr std::int64_t kPairs = 18;
  constexpr std::int64_t kWidth = kKeyHeads * kDim;
  constexpr std::int64_t kRow = kHeads * kDim + 2 * kWidth + 3;
  const std::vector<float> q_weight = Weight(kDim);
  const std::vector<float> k_weight = Weight(kDim, 1);
  const std::vector<float> table = Angles(kT9, kPairs);
  Array x(DType::kBF16, kT9 * kRow);
  x.Fill(kT9, kRow - 3, kRow, 0);
  Array out(DType::kBF16, kT9 * kHeads * kDim);
  Array keys(DType::kBF16, Steps::kRows * kWidth);
  Array values = keys;
  NormRopeWriteArgs args;
  args.q = {{.x = x.data(),
             .table = table.data(),
             .out = out.data(),
             .x_type = DType::kBF16,
             .out_type = DType::kBF16,
             .tokens = kT9,
             .heads = kHeads,
             .dim = kDim,
             .pairs = kPairs,
             .pairing = RopePairing::kHalf,
             .x_token = kRow},
            q_weight.data(),
            1e-6f};
  args.k = args.q;
  args.k.rope.x = x.At(kHeads * kDim);
  args.k.rope.out = nullptr;
  args.k.rope.heads = kKeyHeads;
  args.k.weight = k_weight.data();
  args.k.eps = 1e-3f;
  args.v = x.At(kHeads * kDim + kWidth);
  args.v_row = kRow;
  args.keys = {keys.data(), Steps::kCapacity, kWidth};
  args.values = {values.data(), Steps::kCapacity, kWidth};
  args.batch = steps.batch();
  ThreadPool pool(2);
  ForEachRow(NormRopeWriteKernels(), args, [&](const Kernel<NormRopeWriteArgs>& row) {
    keys = values = Array(DType::kBF16, Steps::kRows * kWidth);
    args.keys.data = keys.data();
    args.values.data = values.data();
    RunRow(row, args, pool);

    Array q(DType::kBF16, kT9 * kHeads * kDim);
    NormRopeArgs of_q = args.q;
    of_q.rope.out = q.data();
    RunPart(row.name, NormRopeKernels(), of_q);
    EXPECT_TRUE(out == q);
    Array k(DType::kBF16, kT9 * kWidth);
    NormRopeArgs of_k = args.k;
    of_k.rope.out = k.data();
    RunPart(row.name, NormRopeKernels(), of_k);
    Array ring(DType::kBF16, Steps::kRows * kWidth);
    const auto write = [&](const void* rows) {
      RunPart(row.name, KvWriteKernels(),
              {rows, {ring.data(), Steps::kCapacity, kWidth}, args.batch, DType::kBF16, kWidth});
    };
    write(k.data());
    EXPECT_TRUE(keys == ring);
    Array v(DType::kBF16, kT9 * kWidth);
    for (std::int64_t t = 0; t < kT9; ++t)
      std::memcpy(v.At(t * kWidth), x.At(t * kRow + kHeads * kDim + kWidth), kWidth * 2);
    ring = Array(DType::kBF16, Steps::kRows * kWidth);
    write(v.data());
    EXPECT_TRUE(values == ring);
  });

  // As the op: q and k as columns of rank 2.
  Array out2(DType::kBF16, kT9 * kHeads * kDim);
  Array keys2(DType::kBF16, Steps::kRows * kWidth);
  Array values2 = keys2;
  const auto columns = [&](std::int64_t at, std::int64_t width) {
    Operand o = Tensor(x.At(at), DType::kBF16, {kT9, width});
    o.layout = Layout::kColumns;
    o.row = kRow;
    return o;
  };
  const Operand key_state = Tensor(keys2.data(), DType::kBF16, {3, Steps::kCapacity, kWidth});
  const Operand value_state = Tensor(values2.data(), DType::kBF16, {3, Steps::kCapacity, kWidth});
  RunOp(kNormRopeWrite,
        {{"q_eps", 1e-6}, {"k_eps", 1e-3}, {"out", kToBf16}, {"pairing", std::int64_t{1}}},
        {columns(0, kHeads * kDim), columns(kHeads * kDim, kWidth),
         columns(kHeads * kDim + kWidth, kWidth),
         Tensor(const_cast<float*>(table.data()), DType::kF32, {kT9, kPairs, 2}),
         Tensor(const_cast<float*>(q_weight.data()), DType::kF32, {kDim}),
         Tensor(const_cast<float*>(k_weight.data()), DType::kF32, {kDim}), key_state, value_state},
        {Tensor(out2.data(), DType::kBF16, {kT9, kHeads, kDim}), key_state, value_state},
        steps.batch());
  const auto& best = RowIn("cpu/generic", NormRopeWriteKernels());
  keys = values = Array(DType::kBF16, Steps::kRows * kWidth);
  args.keys.data = keys.data();
  args.values.data = values.data();
  RunRow(best, args, pool);
  EXPECT_TRUE(out2 == out);
  EXPECT_TRUE(keys2 == keys);
  EXPECT_TRUE(values2 == values);
}

TEST(RopeWrite, IsTheRotationBesideACopy) {
  const Steps steps;
  constexpr std::int64_t kT9 = Steps::kTokens;
  constexpr std::int64_t kC = 37;
  constexpr std::int64_t kPairs = 11;
  constexpr std::int64_t kWidth = kC + 2 * kPairs;
  const std::vector<float> table = Angles(kT9, kPairs);
  Array c(DType::kBF16, kT9 * 48);
  c.Fill(kT9, kC, 48, 5);
  Array k_pe(DType::kF32, kT9 * 30);
  k_pe.Fill(kT9, 2 * kPairs, 30, 8);
  Array latent(DType::kBF16, Steps::kRows * kWidth);
  RopeWriteArgs args;
  args.c = c.At(5);
  args.c_row = 48;
  args.c_width = kC;
  args.k_pe = {.x = k_pe.At(8),
               .table = table.data(),
               .x_type = DType::kF32,
               .out_type = DType::kBF16,
               .tokens = kT9,
               .heads = 1,
               .dim = 2 * kPairs,
               .pairs = kPairs,
               .x_row = 30};
  args.batch = steps.batch();
  ThreadPool pool(2);
  for (const RopePairing pairing : {RopePairing::kAdjacent, RopePairing::kHalf}) {
    args.k_pe.pairing = pairing;
    ForEachRow(RopeWriteKernels(), args, [&](const Kernel<RopeWriteArgs>& row) {
      latent = Array(DType::kBF16, Steps::kRows * kWidth);
      args.latent = {latent.data(), Steps::kCapacity, kWidth};
      RunRow(row, args, pool);
      Array turned(DType::kBF16, kT9 * 2 * kPairs);
      RopeArgs rope = args.k_pe;
      rope.out = turned.data();
      RunPart(row.name, RopeKernels(), rope);
      Array rows(DType::kBF16, kT9 * kWidth);
      for (std::int64_t t = 0; t < kT9; ++t) {
        std::memcpy(rows.At(t * kWidth), c.At(t * 48 + 5), kC * 2);
        std::memcpy(rows.At(t * kWidth + kC), turned.At(t * 2 * kPairs), 2 * kPairs * 2);
      }
      Array ring(DType::kBF16, Steps::kRows * kWidth);
      RunPart(
          row.name, KvWriteKernels(),
          {rows.data(), {ring.data(), Steps::kCapacity, kWidth}, args.batch, DType::kBF16, kWidth});
      EXPECT_TRUE(latent == ring);
    });
  }
}

ValueType Columns(DType type, std::vector<Extent> shape) {
  ValueType v = Activation(type, std::move(shape));
  v.layout = Layout::kColumns;
  return v;
}

ValueType VectorOf(std::int64_t width) { return {Kind::kVector, DType::kF32, {Const(width)}}; }
ValueType StateOf(DType type, std::int64_t width) {
  return {Kind::kState, type, {Const(3), Const(8), Const(width)}};
}

std::string Typed(const OpDef& op, const Attributes& attributes, const std::vector<ValueType>& in) {
  const auto result = Infer(op, attributes, in);
  if (!result.ok()) return result.status().message();
  std::string text;
  for (const ValueType& v : result.value()) text += (text.empty() ? "" : "; ") + v.ToString();
  return text;
}

TEST(DualRmsNormTypes, TakesColumnsAndNamesWhatDoesNotFit) {
  const Attributes attributes = {
      {"eps0", 1e-6}, {"eps1", 1e-5}, {"out0", kToBf16}, {"out1", std::int64_t{0}}};
  std::vector<ValueType> in = {Columns(DType::kF32, {kT, Const(48)}),
                               Columns(DType::kF32, {kT, Const(16)}), VectorOf(48), VectorOf(16)};
  EXPECT_EQ(Typed(kDualRmsNorm, attributes, in), "BF16 [T, 48]; F32 [T, 16]");
  in[1].dtype = DType::kBF16;
  EXPECT_THAT(Typed(kDualRmsNorm, attributes, in), HasSubstr("dual_rms_norm x1: expected F32"));
  in[1].dtype = DType::kF32;
  in[3] = VectorOf(48);
  EXPECT_THAT(Typed(kDualRmsNorm, attributes, in),
              HasSubstr("dual_rms_norm weight1: expected [16], got vector F32 [48]"));
}

TEST(NormRopeTypes, NamesWhatDoesNotFit) {
  const Attributes attributes = {{"eps", 1e-6}, {"out", kToBf16}, {"pairing", std::int64_t{0}}};
  const ValueType x = Activation(DType::kF32, {kT, Const(4), Const(64)});
  const ValueType table = Activation(DType::kF32, {kT, Const(8), Const(2)});
  EXPECT_EQ(Typed(kNormRope, attributes, {x, table}), "BF16 [T, 4, 64]");
  EXPECT_EQ(Typed(kNormRope, attributes, {x, table, VectorOf(64)}), "BF16 [T, 4, 64]");
  EXPECT_THAT(Typed(kNormRope, attributes, {x, table, VectorOf(63)}),
              HasSubstr("norm_rope weight: expected [64]"));
  EXPECT_THAT(Typed(kNormRope, attributes, {x, Columns(DType::kF32, {kT, Const(8), Const(2)})}),
              HasSubstr("norm_rope operand 1: expected packed rows"));
}

TEST(NormRopeWriteTypes, TakesHeadsSideBySideAndNamesWhatDoesNotFit) {
  const Attributes attributes = {
      {"q_eps", 1e-6}, {"k_eps", 1e-6}, {"out", kToBf16}, {"pairing", std::int64_t{1}}};
  std::vector<ValueType> in = {Columns(DType::kBF16, {kT, Const(256)}),
                               Columns(DType::kBF16, {kT, Const(128)}),
                               Columns(DType::kBF16, {kT, Const(128)}),
                               Activation(DType::kF32, {kT, Const(32), Const(2)}),
                               VectorOf(64),
                               VectorOf(64),
                               StateOf(DType::kBF16, 128),
                               StateOf(DType::kBF16, 128)};
  EXPECT_EQ(Typed(kNormRopeWrite, attributes, in),
            "BF16 [T, 4, 64]; state BF16 [3, 8, 128]; state BF16 [3, 8, 128]");
  ASSERT_EQ(kNormRopeWrite.mutates.size(), 2u);
  EXPECT_EQ(kNormRopeWrite.mutates[1].operand, 7);
  EXPECT_EQ(kNormRopeWrite.mutates[1].result, 2);
  in[7] = StateOf(DType::kF32, 128);
  EXPECT_THAT(Typed(kNormRopeWrite, attributes, in),
              HasSubstr("norm_rope_write values: expected BF16"));
  in[7] = StateOf(DType::kBF16, 128);
  in[7].shape[1] = Const(9);
  EXPECT_THAT(Typed(kNormRopeWrite, attributes, in),
              HasSubstr("norm_rope_write values: expected [3, 8, 128]"));
  in[5] = VectorOf(48);
  EXPECT_THAT(Typed(kNormRopeWrite, attributes, in),
              HasSubstr("norm_rope_write k: expected rank 3"));
}

TEST(RopeWriteTypes, NamesWhatDoesNotFit) {
  const Attributes attributes = {{"pairing", std::int64_t{0}}};
  std::vector<ValueType> in = {
      Activation(DType::kBF16, {kT, Const(48)}), Columns(DType::kF32, {kT, Const(16)}),
      Activation(DType::kF32, {kT, Const(8), Const(2)}), StateOf(DType::kBF16, 64)};
  EXPECT_EQ(Typed(kRopeWrite, attributes, in), "state BF16 [3, 8, 64]");
  in[2].shape[1] = Const(4);
  EXPECT_THAT(Typed(kRopeWrite, attributes, in),
              HasSubstr("rope_write k_pe: expected [T, 8], got F32 [T, 16]"));
  in[2].shape[1] = Const(8);
  in[3] = StateOf(DType::kBF16, 65);
  EXPECT_THAT(Typed(kRopeWrite, attributes, in),
              HasSubstr("rope_write latent: expected [3, 8, 64]"));
}

}  // namespace
}  // namespace birkhoff::ops
