#include "graph/print.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

constexpr ops::Extent kT{1, ops::Symbol::kTokens};

Graph Example() {
  Builder b;
  const auto model = b.Site("model");
  const Value x = b.Input("x", DType::kF32, {kT, ops::Const(4)});
  const Value norm = b.Vector("layers.0.norm", nullptr, {4});
  const Value ring = b.State("ring", DType::kF32, 8, 4);
  {
    const auto site = b.Site(0, "attn");
    const Value u = b.RmsNorm(x, norm, 1e-6, DType::kF32);
    b.Op(kPush, {b.Op(kAddHistory, {u, ring}, {})[0], ring}, {});
    const std::vector<Value> pair = b.Op(kButterfly, {u, x}, {});
    b.Output("y", b.Reshape(pair[1], {kT, ops::Const(2), ops::Const(2)}));
  }
  return *std::move(b).Finish();
}

TEST(Print, Text) {
  EXPECT_EQ(ToText(Example()),
            R"(input x : F32 [T, 4]
state ring : state F32 [slots, 8, 4]
%3 = rms_norm(x, layers.0.norm) {eps=1e-06, out=F32} : F32 [T, 4]   // layer 0 attn
%4 = add_history(%3, ring) : F32 [T, 4]   // layer 0 attn
ring@1 = push(%4, ring) : state F32 [slots, 8, 4]   // layer 0 attn
%6, %7 = butterfly(%3, x) : F32 [T, 4], F32 [T, 4]   // layer 0 attn
%8 = reshape(%7) : F32 [T, 2, 2]   // layer 0 attn
output y = %8
)");
}

TEST(Print, Summary) {
  const NodeSummary s = Summarise(Example(), 3);
  EXPECT_EQ(s.op, "butterfly");
  EXPECT_EQ(s.results, (std::vector<std::string>{"%6", "%7"}));
  EXPECT_EQ(s.types, (std::vector<std::string>{"F32 [T, 4]", "F32 [T, 4]"}));
  EXPECT_EQ(s.operands, (std::vector<std::string>{"%3", "x"}));
  EXPECT_EQ(s.label, "layer 0 attn");
  EXPECT_EQ(s.place.substr(0, 14), "print_test.cc:");
}

TEST(Print, Dot) {
  Builder b;
  const auto site = b.Site(1, "ffn");
  const Value x = b.Input("a \"quoted\" x", DType::kF32, {kT, ops::Const(4)});
  const Value norm = b.Vector("norm", nullptr, {4});
  b.Output("y", b.RmsNorm(x, norm, 1e-6, DType::kF32));
  const Graph g = *std::move(b).Finish();
  EXPECT_EQ(ToDot(g), R"(digraph model {
  node [shape=box, fontname=monospace];
  v0 [label="a \"quoted\" x", shape=ellipse];
  n0 [label="rms_norm\nlayer 1 ffn"];
  v0 -> n0 [label="F32 [T, 4]"];
  n0 -> "y";
}
)");
}

}  // namespace
}  // namespace birkhoff::graph
