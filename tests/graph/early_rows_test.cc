#include "graph/early_rows.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/verify.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

TEST(EarlyRows, AsFarAsNobodyNeedsOthers) {
  Builder b;
  const auto scope = b.Site("head");
  constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
  const Value x = b.Input("x", DType::kF32, {kTokens, ops::Const(64)});
  const Value y = b.Input("y", DType::kF32, {kTokens, ops::Const(64)});
  const Value rows = b.Input("rows", DType::kI32, {{1, ops::Symbol::kRows}});
  const Value norm = b.RmsNorm(x, 1e-6, DType::kF32);
  const Value sum = b.Add(norm, y, DType::kF32);
  b.Output("h", b.GatherRows(b.RmsNorm(sum, 1e-6, DType::kF32), rows));
  b.Output("norm", norm);  // of all tokens: the gather stays behind it
  Graph g = *std::move(b).Finish();
  EXPECT_EQ(TakeRowsEarly(g), 2);
  ASSERT_TRUE(Verify(g).ok()) << Verify(g).message();
  std::string ops;
  for (const Node& node : g.nodes) ops += std::string(node.op->name) + " ";
  EXPECT_EQ(ops, "rms_norm gather_rows gather_rows add rms_norm ");
  EXPECT_EQ(g[g.outputs[0].value].type.shape[0].symbol, ops::Symbol::kRows);
}

}  // namespace
}  // namespace birkhoff::graph
