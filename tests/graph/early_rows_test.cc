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

// Several results, several gathers: the op moves once, and only where all take the same rows.
TEST(EarlyRows, AllResultsOfAnOpOrNone) {
  for (const bool same : {true, false}) {
    Builder b;
    const auto scope = b.Site("head");
    constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
    const auto weight = [&](const char* name, const Shape& shape) {
      return b.Vector(name, nullptr, shape);
    };
    const Value x = b.Input("x", DType::kF32, {kTokens, ops::Const(4), ops::Const(8)});
    const Value rows = b.Input("rows", DType::kI32, {{1, ops::Symbol::kRows}});
    const Value others = b.Input("others", DType::kI32, {{1, ops::Symbol::kRows}});
    const MhcCoefficients c =
        b.MhcCoeffs(x, {weight("fn", {24, 32}), weight("base", {24}), weight("scale", {3})}, {});
    b.Output("pre", b.GatherRows(c.pre, rows));
    b.Output("comb", b.GatherRows(c.comb, same ? rows : others));
    b.Output("post", b.GatherRows(c.post, rows));
    Graph g = *std::move(b).Finish();
    EXPECT_EQ(TakeRowsEarly(g), same ? 1 : 0);
    ASSERT_TRUE(Verify(g).ok()) << Verify(g).message();
    ASSERT_EQ(g.nodes.size(), same ? 2U : 4U);
    if (!same) continue;
    EXPECT_EQ(g[g.outputs[0].value].slot, 0);
    EXPECT_EQ(g[g.outputs[1].value].type.shape.size(), 3U);
    EXPECT_EQ(g.nodes[1].op, &ops::kMhcCoeffs);
  }
}

// Rows of rows: what is made of few rows has no tokens to choose from earlier.
TEST(EarlyRows, NotTwice) {
  Builder b;
  const auto scope = b.Site("head");
  const Value x = b.Input("x", DType::kF32, {{1, ops::Symbol::kTokens}, ops::Const(8)});
  const Value rows = b.Input("rows", DType::kI32, {{1, ops::Symbol::kRows}});
  const Value some = b.RmsNorm(b.GatherRows(x, rows), 1e-6, DType::kF32);
  b.Output("h", b.GatherRows(some, rows));
  Graph g = *std::move(b).Finish();
  EXPECT_EQ(TakeRowsEarly(g), 0);
  EXPECT_EQ(g.nodes.size(), 3U);
}

}  // namespace
}  // namespace birkhoff::graph
