#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernel_rows.h"
#include "ops/defs.h"
#include "ops/tables.h"
#include "run_op.h"

namespace birkhoff::ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Two sequences: six tokens from position 2 at slot 2, one token from position 9 at slot 0; ring of
// 4 rows. Tokens are numbered 1 ... 7.
TEST(KvWrite, KeepsTheLastTokensOfEachSequence) {
  std::vector<float> kv(7);
  std::iota(kv.begin(), kv.end(), 1.0f);
  std::vector<float> ring(3 * 4);
  const std::int32_t begin[] = {0, 6, 7};
  const std::int32_t slot[] = {2, 0};
  const std::int64_t past[] = {2, 9};
  const KvWriteArgs args{.kv = kv.data(),
                         .ring = {ring.data(), 4, 1},
                         .batch = {2, begin, slot, past},
                         .type = DType::kF32,
                         .width = 1};
  ThreadPool pool(1);
  ForEachRow(KvWriteKernels(), args, [&](const Kernel<KvWriteArgs>& row) {
    ring.assign(ring.size(), -1.0f);
    RunRow(row, args, pool);
    // Positions 4 ... 7 are the tokens 3 ... 6; position 9 is row 1.
    EXPECT_THAT(ring, ElementsAre(-1, 7, -1, -1, -1, -1, -1, -1, 3, 4, 5, 6));
  });
}

TEST(KvWrite, RunsAsAnOp) {
  std::vector<float> kv = {1, 2, 3, 4};  // two tokens from position 4 at slot 1, rows of two
  std::vector<float> ring(2 * 3 * 2);
  const std::int32_t begin[] = {0, 2};
  const std::int32_t slot = 1;
  const std::int64_t past = 4;
  const Operand state = Tensor(ring, DType::kF32, {2, 3, 2});
  RunOp(kKvWrite, {}, {Tensor(kv, DType::kF32, {2, 2}), state}, {state}, {1, begin, &slot, &past});
  EXPECT_THAT(ring, ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4));
}

TEST(KvWriteTypes, ResultIsTheRingAndReplacesIt) {
  const ValueType kv{Kind::kActivation, DType::kBF16, {{1, Symbol::kTokens}, Const(16)}};
  const ValueType ring{Kind::kState, DType::kBF16, {Const(3), Const(8), Const(16)}};
  const std::vector<ValueType> in = {kv, ring};
  const auto result = kKvWrite.infer({}, in);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_THAT(result.value(), ElementsAre(ring));
  ASSERT_EQ(kKvWrite.mutates.size(), 1u);
  EXPECT_EQ(kKvWrite.mutates[0].operand, 1);
  EXPECT_EQ(kKvWrite.mutates[0].result, 0);
}

TEST(KvWriteTypes, NamesWhatDoesNotFit) {
  const ValueType kv{Kind::kActivation, DType::kBF16, {{1, Symbol::kTokens}, Const(16)}};
  ValueType ring{Kind::kState, DType::kF32, {Const(3), Const(8), Const(16)}};
  const auto refusal = [&] {
    const std::vector<ValueType> in = {kv, ring};
    return kKvWrite.infer({}, in).status().message();
  };
  EXPECT_THAT(refusal(), HasSubstr("kv_write ring: expected BF16"));
  ring.dtype = DType::kBF16;
  ring.shape[2] = Const(17);
  EXPECT_THAT(refusal(), HasSubstr("kv_write ring: expected [3, 8, 16]"));
  ring.kind = Kind::kActivation;
  EXPECT_THAT(refusal(), HasSubstr("expected state"));
}

}  // namespace
}  // namespace birkhoff::ops
