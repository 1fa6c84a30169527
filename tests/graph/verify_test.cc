#include "graph/verify.h"

#include <gmock/gmock.h>

#include "graph/builder.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;
using testing::HasSubstr;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};

// A right graph, which each test breaks in one place.
//   0 %y = reverse(x)   1 %h = add_history(y, ring)   2 ring@1 = push(h, ring)   3 %z = axpy(h, y)
class VerifyTest : public testing::Test {
 protected:
  void SetUp() override {
    Builder b;
    const auto scope = b.Site(0, "attn");
    x = b.Input("x", DType::kF32, {kT, Const(4)});
    ring = b.State("ring", DType::kF32, 8, 4);
    y = b.Op(kReverse, {x}, {})[0];
    h = b.Op(kAddHistory, {y, ring}, {})[0];
    ring1 = b.Op(kPush, {h, ring}, {})[0];
    z = b.Op(kAxpy, {h, y}, {{"by", 1.0}})[0];
    b.Output("z", z);
    Result<Graph> graph = std::move(b).Finish();
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    g = *std::move(graph);
  }

  void ExpectWrong(const std::string& text) const {
    const Status s = Verify(g);
    EXPECT_EQ(s.code(), StatusCode::kInternal);
    EXPECT_THAT(s.message(), HasSubstr(text));
  }

  Graph g = {};
  Value x = {}, ring = {}, y = {}, h = {}, ring1 = {}, z = {};
};

TEST_F(VerifyTest, OperandDefinedLater) {
  std::swap(g.nodes[0], g.nodes[1]);
  ExpectWrong("operand 0 (%2) is used before it is defined");
  ExpectWrong("%3 = add_history(%2, ring)");
  ExpectWrong("verify_test.cc:");
}

TEST_F(VerifyTest, OperandOutOfRange) {
  g.nodes[3].in[1] = {99};
  ExpectWrong("operand 1 (%99?) is used before it is defined");
}

TEST_F(VerifyTest, TwoProducers) {
  g.nodes[3].out[0] = y;
  ExpectWrong("%2 has two producers");
}

TEST_F(VerifyTest, WrongProducer) {
  g[z].producer = 1;
  ExpectWrong("%5 names result 0 of node 1 as its producer");
}

TEST_F(VerifyTest, TypeThatTheOpDoesNotInfer) {
  g[z].type.shape[1] = Const(5);
  ExpectWrong("result 0 has type F32 [T, 5], expected F32 [T, 4]");
}

TEST_F(VerifyTest, OperandsThatTheOpRefuses) {
  g[x].type.dtype = DType::kBF16;
  ExpectWrong("x: expected F32, got BF16 [T, 4]");
}

TEST_F(VerifyTest, TooManyResults) {
  g.nodes[3].out.push_back(h);
  ExpectWrong("has 2 results, expected 1");
}

TEST_F(VerifyTest, StateReadAfterItsWriter) {
  g.Insert(4, g.nodes[1], {g[h].type});
  ExpectWrong("uses state ring after ring@1 was written by node 2");
}

TEST_F(VerifyTest, StateWithTwoWriters) {
  g.Insert(3, g.nodes[2], {g[ring].type});
  ExpectWrong("uses state ring after ring@1 was written by node 2");
}

TEST_F(VerifyTest, StateIsAnotherOperandOfItsWriter) {
  g.nodes[2].in[0] = ring;
  ExpectWrong("writes ring and has it as another operand");
}

TEST_F(VerifyTest, ResultIsNoVersionOfTheState) {
  g[ring1].state = -1;
  ExpectWrong("result 0 is no version of ring");
}

TEST_F(VerifyTest, StateOfNoDeclaration) {
  g[ring].state = 7;
  ExpectWrong("state \"ring\" has no value");
}

TEST_F(VerifyTest, LabelIsMissing) {
  g.nodes[3].labels.site = {};
  ExpectWrong("has no site label");
}

TEST_F(VerifyTest, OutputThatNoNodeMakes) {
  g.outputs[0].value = x;
  ExpectWrong("output \"z\" (x) is no activation that a node makes");
  g.outputs[0].value = ring1;
  ExpectWrong("output \"z\" (ring@1) is no activation that a node makes");
  g.outputs[0].value = {42};
  ExpectWrong("output \"z\" (%42?) is no activation that a node makes");
}

TEST_F(VerifyTest, NamesTwice) {
  g.outputs.push_back({"z", h});
  ExpectWrong("two outputs are named \"z\"");
  g[x].name = "ring";
  ExpectWrong("two inputs or states are named \"ring\"");
}

TEST_F(VerifyTest, ErasedNodesLeaveNoTrace) {
  g.outputs[0].value = h;
  g.Erase(3);
  EXPECT_TRUE(Verify(g).ok());
}

}  // namespace
}  // namespace birkhoff::graph
