#include "graph/plan.h"

#include <gmock/gmock.h>

#include <numeric>

#include "counting_new.h"
#include "graph/builder.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};
constexpr ops::Extent kR{1, ops::Symbol::kRows};

// history = x + what the sequence had before; last = the rows of it that `index` asks for; then x
// joins the state.
Graph History() {
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value x = b.Input("x", DType::kF32, {kT, Const(2)});
  const Value index = b.Input("index", DType::kI32, {kR});
  const Value state = b.State("past", DType::kF32, 16, 2);
  const Value history = b.Op(kAddHistory, {x, state}, {})[0];
  b.Op(kPush, {x, state}, {});
  b.Output("history", history);
  b.Output("last", b.Op(kPick, {history, index}, {})[0]);
  return *std::move(b).Finish();
}

class PlanTest : public testing::Test {
 protected:
  void Make(PlanOptions options = {.max_tokens = 8, .max_rows = 3, .slots = 2}) {
    Result<std::unique_ptr<Plan>> made = Plan::Make(History(), options);
    ASSERT_TRUE(made.ok()) << made.status().message();
    plan = *std::move(made);
    ASSERT_EQ(plan->StateBytes(0), 2 * 16 * 2 * 4);
    memory.assign(2 * 16 * 2, 1e9f);
    plan->SetState(0, memory.data());
  }

  // One sequence, in slot 1, whose tokens are all ones.
  Status RunOnes(std::int32_t tokens, std::int64_t past, std::int64_t rows) {
    begin[1] = tokens;
    before[0] = past;
    return plan->Run({.inputs = inputs, .tokens = tokens, .rows = rows, .batch = batch}, pool);
  }

  std::vector<float> Output(int which) const {
    const ops::Operand& o = plan->output(which);
    const auto* data = static_cast<const float*>(o.data);
    return {data, data + o.dim[0] * o.dim[1]};
  }

  std::unique_ptr<Plan> plan = {};
  std::vector<float> memory = {};
  ThreadPool pool{1};
  std::vector<float> x = std::vector<float>(16, 1.0f);
  std::vector<std::int32_t> index = {1, 0, 1};
  std::vector<const void*> inputs = {x.data(), index.data()};
  std::int32_t begin[2] = {0, 0}, slot[1] = {1};
  std::int64_t before[1] = {0};
  SequenceBatch batch = {.count = 1, .begin = begin, .slot = slot, .past = before};
};

TEST_F(PlanTest, StateLivesFromStepToStep) {
  Make();
  ASSERT_TRUE(RunOnes(2, 0, 1).ok());
  EXPECT_THAT(Output(0), ElementsAre(1, 1, 1, 1));
  ASSERT_TRUE(RunOnes(1, 2, 0).ok());
  EXPECT_THAT(Output(0), ElementsAre(3, 3));
  ASSERT_TRUE(RunOnes(2, 3, 3).ok());
  EXPECT_THAT(Output(0), ElementsAre(4, 4, 4, 4));
  EXPECT_THAT(Output(1), ElementsAre(4, 4, 4, 4, 4, 4));
  EXPECT_EQ(memory[0], 1e9f) << "slot 0 is not of this sequence";
}

TEST_F(PlanTest, NoTokensRunNothing) {
  Make();
  const std::vector<float> before_step = memory;
  std::vector<std::int64_t> nanoseconds(plan->graph().nodes.size(), 0);
  const Step step{.inputs = inputs, .batch = {.begin = begin, .slot = slot, .past = before}};
  EXPECT_TRUE(plan->Run(step, pool, nanoseconds.data()).ok());
  EXPECT_THAT(nanoseconds, Each(0));
  EXPECT_EQ(memory, before_step);
  EXPECT_EQ(plan->output(0).dim[0], 0);
  const void* none[] = {nullptr, nullptr};
  EXPECT_TRUE(plan->Run({.inputs = none}, pool).ok()) << "not even inputs are needed";
  EXPECT_EQ(RunOnes(0, 0, 1).code(), StatusCode::kInvalidArgument);
}

TEST_F(PlanTest, NoRowsAreLegal) {
  Make();
  inputs[1] = nullptr;
  ASSERT_TRUE(RunOnes(2, 0, 0).ok());
  EXPECT_THAT(Output(0), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(Output(1), ElementsAre());
}

TEST_F(PlanTest, AllocatesNothingInAStep) {
  Make();
  std::vector<std::int64_t> nanoseconds(plan->graph().nodes.size(), 0);
  const std::int64_t before_steps = AllocationCount();
  bool ok = true;
  for (std::int32_t step = 0; step < 10; ++step) {
    begin[1] = 1;
    before[0] = step;
    ok = ok && plan->Run({.inputs = inputs, .tokens = 1, .rows = 1, .batch = batch}, pool,
                         nanoseconds.data())
                   .ok();
  }
  const std::int64_t after_steps = AllocationCount();
  EXPECT_TRUE(ok);
  EXPECT_EQ(after_steps, before_steps);
  ::operator delete(::operator new(1));  // a new expression could be optimised away
  EXPECT_EQ(AllocationCount(), after_steps + 1) << "the counter does not count";
  EXPECT_GT(std::accumulate(nanoseconds.begin(), nanoseconds.end(), std::int64_t{0}), 0);
}

TEST_F(PlanTest, RefusesStepsThatDoNotFit) {
  Make();
  const Status tokens = RunOnes(9, 0, 0);
  EXPECT_EQ(tokens.code(), StatusCode::kOutOfRange);
  EXPECT_EQ(tokens.message(), "a step of 9 tokens, the plan has room for 8");
  EXPECT_EQ(RunOnes(4, 0, 4).message(), "a step of 4 rows, the plan has room for 3");

  slot[0] = 2;
  EXPECT_EQ(RunOnes(1, 0, 0).message(), "sequence 0 of a step is in slot 2, the plan has 2");
  slot[0] = 1;
  begin[1] = 3;
  EXPECT_EQ(plan->Run({.inputs = inputs, .tokens = 4, .batch = batch}, pool).message(),
            "the 1 sequences of a step have 3 tokens, the step has 4");
  ThreadPool two(2);
  EXPECT_EQ(plan->Run({.inputs = inputs, .tokens = 3, .batch = batch}, two).message(),
            "a pool of 2 threads, the plan is for at most 1");
  inputs[0] = nullptr;
  EXPECT_EQ(RunOnes(1, 0, 0).message(), "input x is null");
  inputs.pop_back();
  EXPECT_EQ(RunOnes(1, 0, 0).message(), "a step with 1 inputs, the graph has 2");
}

TEST_F(PlanTest, RefusesStatesWithoutMemory) {
  Make();
  plan->SetState(0, nullptr);
  EXPECT_EQ(RunOnes(1, 0, 0).message(), "state past has no memory");
}

TEST_F(PlanTest, PoisonChangesNothing) {
  Make({.max_tokens = 8, .max_rows = 3, .slots = 2, .poison = true});
  ASSERT_TRUE(RunOnes(2, 0, 1).ok());
  ASSERT_TRUE(RunOnes(2, 2, 1).ok());
  EXPECT_THAT(Output(0), ElementsAre(3, 3, 3, 3));
  EXPECT_THAT(Output(1), ElementsAre(3, 3));
}

TEST_F(PlanTest, SaysWhereMemoryGoes) {
  Make();
  EXPECT_EQ(plan->MemoryText(),
            R"(arena    512 B in 2 buffers for 8 tokens and 3 rows
         512 B live at %5 = pick(%3, index) : F32 [R, 2]   // layer 0 attn
scratch  64 B
         for %3 = add_history(x, past) : F32 [T, 2]   // layer 0 attn
states   256 B in 2 slots
              128 B a slot  past F32 [16, 2]
)");
}

TEST(Plan, ScratchIsThatOfTheHungriestNode) {
  Builder b;
  const auto scope = b.Site("s");
  for (const std::int64_t width : {2, 64, 4}) {
    const Value x = b.Input("x" + std::to_string(width), DType::kF32, {kT, Const(width)});
    b.Op(kReverse, {x}, {});
  }
  const auto plan = *Plan::Make(*std::move(b).Finish(), {.max_tokens = 8});
  EXPECT_EQ(plan->scratch_bytes(), 8 * 64 * 4);
}

TEST(Plan, ForcesAKernelByOp) {
  Builder b;
  const auto scope = b.Site("s");
  b.Output("y", b.RmsNorm(b.Input("x", DType::kF32, {kT, Const(16)}), 1e-6, DType::kF32));
  const Graph g = *std::move(b).Finish();

  const auto forced = *Plan::Make(g, {.force = {{"rms_norm", "ref/rms_norm"}}});
  EXPECT_EQ(forced->prepared(0)->selection().kernel, "ref/rms_norm");
  const Status no_row = Plan::Make(g, {.force = {{"rms_norm", "nobody"}}}).status();
  EXPECT_EQ(no_row.code(), StatusCode::kUnsupported);
  EXPECT_THAT(no_row.message(), HasSubstr("rms_norm(x)"));
  EXPECT_THAT(no_row.message(), HasSubstr("plan_test.cc:"));
  const Status no_op = Plan::Make(g, {.force = {{"rms_nrom", "ref/rms_norm"}}}).status();
  EXPECT_EQ(no_op.message(),
            "kernel ref/rms_norm is forced for op rms_nrom, which the graph does not have");
}

TEST(Plan, RefusesBrokenGraphsOptionsAndSizes) {
  Graph broken = History();
  broken.nodes[0].labels.site = {};
  EXPECT_EQ(Plan::Make(broken, {}).status().code(), StatusCode::kInternal);
  EXPECT_EQ(Plan::Make(History(), {.threads = 0}).status().code(), StatusCode::kInvalidArgument);

  Device small = HostDevice();
  small.memory_bytes = 1 << 20;
  const Status s = Plan::Make(History(), {.device = &small, .max_tokens = 1 << 20}).status();
  EXPECT_EQ(s.code(), StatusCode::kOutOfRange);
  EXPECT_THAT(s.message(),
              HasSubstr("steps of 1048576 tokens need 16.0 MiB, the machine has 1.0 MiB"));
}

}  // namespace
}  // namespace birkhoff::graph
