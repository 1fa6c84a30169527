#include "graph/memory.h"

#include <gtest/gtest.h>

#include "graph/builder.h"
#include "graph/plan.h"
#include "graph/print.h"
#include "random_graph.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};

bool Overlap(const Buffer& a, const Buffer& b) {
  return a.first <= b.last && b.first <= a.last && a.offset < b.offset + b.bytes &&
         b.offset < a.offset + a.bytes;
}

TEST(Memory, BuffersThatLiveTogetherDoNotOverlap) {
  std::mt19937 random(1);
  for (int seed = 0; seed < 200; ++seed) {
    const Graph g = RandomGraph(random);
    const MemoryPlan m = *PlanMemory(g, {17, 5});
    EXPECT_GE(m.arena_bytes, m.peak_bytes);
    for (std::size_t i = 0; i < m.buffers.size(); ++i) {
      EXPECT_EQ(m.buffers[i].offset % kArenaAlignment, 0);
      EXPECT_LE(m.buffers[i].offset + m.buffers[i].bytes, m.arena_bytes);
      for (std::size_t j = 0; j < i; ++j)
        ASSERT_FALSE(Overlap(m.buffers[i], m.buffers[j])) << seed << "\n" << ToText(g);
    }
  }
}

// Data says more than offsets: views and memory taken over in place are right as well.
TEST(Memory, ResultsAreThoseOfValuesThatShareNothing) {
  std::mt19937 random(2);
  ThreadPool pool(1);
  int shared = 0;
  for (int seed = 0; seed < 200; ++seed) {
    const Graph g = RandomGraph(random);
    const std::int64_t tokens = 1 + random() % 17, rows = random() % 6;
    std::vector<float> x(static_cast<std::size_t>(tokens) * 24);
    for (float& f : x) f = static_cast<float>(random() % 1000) / 100 - 5;
    std::vector<std::int32_t> index(static_cast<std::size_t>(rows) + 1);
    for (auto& i : index) i = static_cast<std::int32_t>(random() % static_cast<unsigned>(tokens));
    const void* inputs[] = {x.data(), index.data()};
    const Step step{.inputs = inputs, .tokens = tokens, .rows = rows};

    const auto expected = Evaluate(g, step);
    for (const bool poison : {false, true}) {
      auto plan = *Plan::Make(g, {.max_tokens = 17, .max_rows = 5, .poison = poison});
      ASSERT_TRUE(plan->Run(step, pool).ok());
      for (std::size_t o = 0; o < g.outputs.size(); ++o) {
        const auto& want = expected[static_cast<std::size_t>(g.outputs[o].value.id)];
        const auto* got = static_cast<const float*>(plan->output(static_cast<int>(o)).data);
        for (std::size_t i = 0; i < want.size(); ++i)
          ASSERT_EQ(want[i], got[i]) << "seed " << seed << " poison " << poison << " " << i << "\n"
                                     << ToText(g);
      }
      shared += plan->memory().buffers.size() < g.nodes.size();
    }
  }
  EXPECT_GT(shared, 100) << "the graphs hardly share memory, so this shows nothing";
}

class InPlace : public testing::Test {
 protected:
  int BufferOf(Value v) const { return memory.buffer_of[static_cast<std::size_t>(v.id)]; }
  void Plan() {
    g = *std::move(b).Finish();
    memory = *PlanMemory(g, {4, 1});
  }

  Builder b = {};
  Graph g = {};
  MemoryPlan memory = {};
  Builder::Scope scope = b.Site("s");
  Value x = b.Input("x", DType::kF32, {kT, Const(64)});
  Value y = b.Op(kReverse, {x}, {})[0];
};

TEST_F(InPlace, TakesMemoryOfADyingOperand) {
  const Value z = b.Op(kAxpy, {y, x}, {{"by", 1.0}})[0];
  b.Output("z", z);
  Plan();
  EXPECT_EQ(BufferOf(z), BufferOf(y));
  EXPECT_EQ(memory.arena_bytes, 4 * 64 * 4);
}

TEST_F(InPlace, LeavesAnOperandThatIsUsedLater) {
  const Value z = b.Op(kAxpy, {y, x}, {{"by", 1.0}})[0];
  b.Output("w", b.Op(kReverse, {y}, {})[0]);
  b.Output("z", z);
  Plan();
  EXPECT_NE(BufferOf(z), BufferOf(y));
}

TEST_F(InPlace, LeavesAnOperandWithALivingView) {
  const Value view = b.Reshape(y, {kT, Const(8), Const(8)});
  const Value z = b.Op(kAxpy, {y, x}, {{"by", 1.0}})[0];
  b.Output("w", b.Op(kReverse, {view}, {})[0]);
  b.Output("z", z);
  Plan();
  EXPECT_EQ(BufferOf(view), BufferOf(y));
  EXPECT_NE(BufferOf(z), BufferOf(y));
}

TEST_F(InPlace, LeavesOutputsInputsAndOperandsUsedTwice) {
  const Value twice = b.Op(kAxpy, {y, y}, {{"by", 1.0}})[0];
  const Value of_input = b.Op(kAxpy, {x, twice}, {{"by", 1.0}})[0];
  b.Output("of_input", of_input);
  const Value of_output = b.Op(kAxpy, {of_input, x}, {{"by", 1.0}})[0];
  b.Output("of_output", of_output);
  Plan();
  EXPECT_NE(BufferOf(twice), BufferOf(y));
  EXPECT_EQ(BufferOf(x), -1);
  EXPECT_NE(BufferOf(of_output), BufferOf(of_input));
}

TEST_F(InPlace, LeavesAnOperandOfAnotherType) {
  ops::OpDef pick = kPick;
  pick.in_place = {.operand = 0, .result = 0};
  const Value index = b.Input("index", DType::kI32, {{1, ops::Symbol::kRows}});
  const Value z = b.Op(pick, {y, index}, {})[0];
  b.Output("z", z);
  Plan();
  EXPECT_NE(BufferOf(z), BufferOf(y));
}

TEST_F(InPlace, NamesTheNodeOfThePeak) {
  const std::vector<Value> pair = b.Op(kButterfly, {y, x}, {});
  b.Output("z", b.Op(kAxpy, {pair[0], pair[1]}, {{"by", 1.0}})[0]);
  Plan();
  EXPECT_EQ(memory.peak_node, 1);
  EXPECT_EQ(memory.peak_bytes, 3 * 4 * 64 * 4);
  EXPECT_EQ(memory.arena_bytes, memory.peak_bytes);
}

TEST(Memory, RefusesWhatNoMachineHas) {
  Builder b;
  const auto scope = b.Site("s");
  const std::int64_t wide = std::int64_t{1} << 40;
  b.Output("y", b.Op(kReverse, {b.Input("x", DType::kF32, {kT, Const(wide), Const(wide)})}, {})[0]);
  const Result<MemoryPlan> m = PlanMemory(*std::move(b).Finish(), {1000, 1});
  EXPECT_EQ(m.status().code(), StatusCode::kOutOfRange);
  EXPECT_NE(m.status().message().find("reverse(x)"), std::string::npos) << m.status().message();
}

}  // namespace
}  // namespace birkhoff::graph
