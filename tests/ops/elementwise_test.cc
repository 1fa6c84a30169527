// add, broadcast, concat, embedding, gather_rows, swiglu.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Extent kT{1, Symbol::kTokens};
constexpr Extent kR{1, Symbol::kRows};
constexpr std::int64_t kToF32 = static_cast<std::int64_t>(DType::kF32);
constexpr std::int64_t kToBf16 = static_cast<std::int64_t>(DType::kBF16);

ValueType F32(std::vector<Extent> shape) { return Activation(DType::kF32, std::move(shape)); }
ValueType I32(std::vector<Extent> shape) { return Activation(DType::kI32, std::move(shape)); }

TEST(Add, AddsOneRowToEachStream) {
  std::vector<float> a = {1, 2, 3, 4};
  std::vector<float> b = {10, 20, 30, 40, 50, 60, 70, 80};
  std::vector<float> out(8);
  RunOp(kAdd, {{"out", kToF32}},
        {Tensor(a, DType::kF32, {2, 2}), Tensor(b, DType::kF32, {2, 2, 2})},
        {Tensor(out, DType::kF32, {2, 2, 2})});
  EXPECT_THAT(out, ElementsAre(11, 22, 31, 42, 53, 64, 73, 84));
}

TEST(Add, TakesEachOperandAsItIsAndRoundsOnce) {
  std::vector<bf16> a = {bf16(1.0f), bf16(-3.0f)};
  std::vector<float> b = {0x1p-8f, 0x1p-20f};  // half an ulp of 1 in bf16: a tie
  std::vector<bf16> out(2);
  RunOp(kAdd, {{"out", kToBf16}}, {Tensor(a, DType::kBF16, {1, 2}), Tensor(b, DType::kF32, {1, 2})},
        {Tensor(out, DType::kBF16, {1, 2})});
  EXPECT_EQ(static_cast<float>(out[0]), 1.0f);
  EXPECT_EQ(static_cast<float>(out[1]), -3.0f);
  std::vector<float> wide(2);
  RunOp(kAdd, {{"out", kToF32}}, {Tensor(b, DType::kF32, {1, 2}), Tensor(a, DType::kBF16, {1, 2})},
        {Tensor(wide, DType::kF32, {1, 2})});
  EXPECT_THAT(wide, ElementsAre(1 + 0x1p-8f, -3 + 0x1p-20f));
}

TEST(Add, MayWriteOverItsSecondOperand) {
  constexpr std::int64_t kWidth = 37;
  std::vector<bf16> a(3 * kWidth);
  std::vector<bf16> b(3 * kWidth);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = bf16(static_cast<float>(i));
    b[i] = bf16(0.37f * static_cast<float>(i));
  }
  std::vector<bf16> expected(a.size());
  std::vector<bf16> over = b;
  AddArgs args{.a = a.data(),
               .b = b.data(),
               .out = expected.data(),
               .a_type = DType::kBF16,
               .b_type = DType::kBF16,
               .rows = 3,
               .width = kWidth};
  AddArgs in_place = args;
  in_place.b = in_place.out = over.data();
  ThreadPool pool(2);
  ForEachRow(AddKernels(), args, [&](const Kernel<AddArgs>& row) {
    RunRow(row, args, pool);
    over = b;
    RunRow(row, in_place, pool);
    EXPECT_EQ(std::memcmp(over.data(), expected.data(), 2 * over.size()), 0);
  });
}

TEST(Add, InfersAndRefuses) {
  EXPECT_EQ(
      Inferred(kAdd, {{"out", kToBf16}}, {F32({kT, Const(8)}), F32({kT, Const(4), Const(8)})}),
      "BF16 [T, 4, 8]");
  EXPECT_THAT(Inferred(kAdd, {{"out", kToF32}}, {F32({kT, Const(8)}), F32({kT, Const(9)})}),
              HasSubstr("add b: expected [T, 8]"));
  EXPECT_THAT(Inferred(kAdd, {{"out", kToF32}}, {I32({kT, Const(8)}), F32({kT, Const(8)})}),
              HasSubstr("add a: expected F32 or BF16"));
}

TEST(Broadcast, CopiesARowToEveryStream) {
  std::vector<float> x = {1, 2, 3, 4};
  std::vector<float> out(12);
  RunOp(kBroadcast, {{"copies", std::int64_t{3}}}, {Tensor(x, DType::kF32, {2, 2})},
        {Tensor(out, DType::kF32, {2, 3, 2})});
  EXPECT_THAT(out, ElementsAre(1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4));
  EXPECT_EQ(Inferred(kBroadcast, {{"copies", std::int64_t{4}}}, {F32({kT, Const(6)})}),
            "F32 [T, 4, 6]");
}

TEST(Concat, JoinsRowsAndColumns) {
  std::vector<float> a = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> b = {10, 20};
  std::vector<float> out(6);
  Operand columns = Tensor(a, DType::kF32, {2, 1, 2});
  columns.layout = Layout::kColumns;
  columns.row = 4;
  RunOp(kConcat, {}, {columns, Tensor(b, DType::kF32, {2, 1, 1})},
        {Tensor(out, DType::kF32, {2, 1, 3})});
  EXPECT_THAT(out, ElementsAre(1, 2, 10, 5, 6, 20));
}

TEST(Concat, InfersAndRefuses) {
  const ValueType a = F32({kT, Const(4), Const(6)});
  EXPECT_EQ(Inferred(kConcat, {}, {a, F32({kT, Const(4), Const(2)})}), "F32 [T, 4, 8]");
  EXPECT_THAT(Inferred(kConcat, {}, {a, F32({kT, Const(3), Const(2)})}),
              HasSubstr("concat b: expected the leading extents of F32 [T, 4, 6], got F32 [T, 3"));
  EXPECT_THAT(Inferred(kConcat, {}, {a, F32({kT, Const(2)})}), HasSubstr("leading extents"));
  EXPECT_THAT(Inferred(kConcat, {}, {a, I32({kT, Const(4), Const(2)})}),
              HasSubstr("concat b: expected F32"));
  EXPECT_THAT(Inferred(kConcat, {}, {I32({kT}), I32({kT})}),
              HasSubstr("concat a: expected rows of a constant width, got I32 [T]"));
}

TEST(GatherRows, TakesRowsOfAnyRankInAnyOrder) {
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<std::int32_t> index = {1, 1, 0};
  std::vector<float> out(12);
  RunOp(kGatherRows, {}, {Tensor(x, DType::kF32, {2, 2, 2}), Tensor(index, DType::kI32, {3})},
        {Tensor(out, DType::kF32, {3, 2, 2})});
  EXPECT_THAT(out, ElementsAre(5, 6, 7, 8, 5, 6, 7, 8, 1, 2, 3, 4));
  EXPECT_EQ(Inferred(kGatherRows, {}, {F32({kT, Const(4), Const(6)}), I32({kR})}), "F32 [R, 4, 6]");
  EXPECT_THAT(Inferred(kGatherRows, {}, {F32({kT, Const(4)}), F32({kR})}),
              HasSubstr("gather_rows index: expected I32"));
}

// The rows of a mapped file may begin at any byte.
TEST(Embedding, ReadsAnUnalignedTable) {
  constexpr std::int64_t kWidth = 19;
  std::vector<char> file(1 + 3 * kWidth * 2);
  for (std::int64_t i = 0; i < 3 * kWidth; ++i) {
    const bf16 value(static_cast<float>(i));
    std::memcpy(file.data() + 1 + 2 * i, &value, 2);
  }
  const std::vector<std::int32_t> ids = {2, 0};
  std::vector<float> out(2 * kWidth);
  const EmbeddingArgs args{.ids = ids.data(),
                           .table = {.data = file.data() + 1, .rows = 3, .cols = kWidth},
                           .out = out.data(),
                           .out_type = DType::kF32,
                           .tokens = 2};
  RunEveryRow(EmbeddingKernels(), args, [&] {
    for (std::size_t i = 0; i < kWidth; ++i) {
      EXPECT_EQ(out[i], static_cast<float>(2 * kWidth + static_cast<std::int64_t>(i)));
      EXPECT_EQ(out[kWidth + i], static_cast<float>(i));
    }
  });
}

TEST(Embedding, WidensHalves) {
  const std::vector<std::uint16_t> table = {0x3c00, 0x8001, 0x7bff, 0xfc00, 0x7e00, 0x0000};
  const std::int32_t id = 0;
  std::vector<float> out(6);
  const EmbeddingArgs args{
      .ids = &id,
      .table = {.data = table.data(), .format = WeightFormat::kF16, .rows = 1, .cols = 6},
      .out = out.data(),
      .out_type = DType::kF32,
      .tokens = 1};
  RunEveryRow(EmbeddingKernels(), args, [&] {
    EXPECT_EQ(out[0], 1.0f);
    EXPECT_EQ(out[1], -0x1p-24f);
    EXPECT_EQ(out[2], 65504.0f);
    EXPECT_EQ(out[3], -std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(out[4]));
    EXPECT_EQ(out[5], 0.0f);
  });
}

TEST(Embedding, RefusesBlockScaledTables) {
  const EmbeddingArgs args{.table = {.format = WeightFormat::kFp8Block}};
  for (const auto& row : EmbeddingKernels().first(3)) {
    EXPECT_THAT(row.refuses(args, HostDevice()).why(), HasSubstr("F32, BF16 or F16"));
  }
}

TEST(Embedding, Infers) {
  const ValueType table{Kind::kMatrix, DType::kBF16, {Const(100), Const(64)}};
  EXPECT_EQ(Inferred(kEmbedding, {{"out", kToBf16}}, {I32({kT}), table}), "BF16 [T, 64]");
  EXPECT_THAT(Inferred(kEmbedding, {{"out", kToBf16}}, {I32({kT}), F32({kT, Const(3)})}),
              HasSubstr("embedding table: expected matrix"));
}

TEST(Swiglu, ClampsTheGateAboveAndUpOnBothSides) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> gate = {100, -100, 1, 1, -inf, 0};
  std::vector<float> up = {100, 1, -100, 1, 1, inf};
  std::vector<float> out(6);
  RunOp(kSwiglu, {{"limit", 7.0}},
        {Tensor(gate, DType::kF32, {1, 6}), Tensor(up, DType::kF32, {1, 6})},
        {Tensor(out, DType::kF32, {1, 6})});
  const auto silu = [](double a) { return a / (1 + std::exp(-a)); };
  EXPECT_NEAR(out[0], 7 * silu(7), 1e-5);
  EXPECT_NEAR(out[1], 0, 1e-38);
  EXPECT_NEAR(out[2], -7 * silu(1), 1e-6);
  EXPECT_NEAR(out[3], silu(1), 1e-7);
  EXPECT_TRUE(std::isnan(out[4]));  // -inf * 0: no lower clamp
  EXPECT_EQ(out[5], 0);
}

TEST(Swiglu, KeepsNanAndWorksInPlace) {
  std::vector<float> gate = {std::nanf(""), 1};
  const std::vector<float> up = {1, std::nanf("")};
  const SwigluArgs args{.gate = gate.data(),
                        .up = up.data(),
                        .out = gate.data(),
                        .type = DType::kF32,
                        .rows = 1,
                        .width = 2,
                        .limit = 5};
  ThreadPool pool(1);
  ForEachRow(SwigluKernels(), args, [&](const Kernel<SwigluArgs>& row) {
    gate = {std::nanf(""), 1};
    RunRow(row, args, pool);
    EXPECT_TRUE(std::isnan(gate[0]));
    EXPECT_TRUE(std::isnan(gate[1]));
  });
}

TEST(Swiglu, RefusesDifferentTypes) {
  EXPECT_THAT(Inferred(kSwiglu, {{"limit", 7.0}},
                       {F32({kT, Const(8)}), Activation(DType::kBF16, {kT, Const(8)})}),
              HasSubstr("swiglu up: expected F32"));
}

}  // namespace
}  // namespace birkhoff::ops
