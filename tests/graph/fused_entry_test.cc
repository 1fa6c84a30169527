// The entries of attentions over columns of one projection: the fused ops read the views that the
// unfused ones read, and give their bits.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "graph/builder.h"
#include "graph/plan.h"

namespace birkhoff::graph {
namespace {

using ops::Const;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};
constexpr std::int64_t kTokens = 5;
constexpr std::int64_t kCapacity = 8;

std::vector<float> Numbers(std::int64_t count) {
  std::vector<float> v(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = std::sin(0.37f * static_cast<float>(i + 1)) + 0.1f;
  return v;
}

// Runs one step of one sequence from position 2 on in slot 0.
class FusedEntry : public testing::Test {
 protected:
  void Run(Builder b, std::int64_t width) {
    Result<Graph> graph = std::move(b).Finish();
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    Result<std::unique_ptr<Plan>> made =
        Plan::Make(*std::move(graph), {.max_tokens = kTokens, .max_rows = 1, .slots = 1});
    ASSERT_TRUE(made.ok()) << made.status().message();
    plan = *std::move(made);
    x = Numbers(kTokens * width);
    for (int s = 0; s < static_cast<int>(plan->graph().states.size()); ++s) {
      states.emplace_back(static_cast<std::size_t>(plan->StateBytes(s)) / 4, 0.0f);
      plan->SetState(s, states.back().data());
    }
    const std::int32_t begin[] = {0, kTokens};
    const std::int32_t slot[] = {0};
    const std::int64_t past[] = {2};
    const std::int32_t positions[] = {2, 3, 4, 5, 6};
    const void* inputs[] = {x.data(), positions};
    ThreadPool pool(1);
    const Status status =
        plan->Run({.inputs = inputs, .tokens = kTokens, .batch = {1, begin, slot, past}}, pool);
    ASSERT_TRUE(status.ok()) << status.message();
  }

  std::vector<float> Output(std::string_view name) const {
    const ops::Operand& o = plan->output(plan->graph().FindOutput(name));
    std::int64_t count = 1;
    for (int d = 0; d < o.rank; ++d) count *= o.dim[d];
    const auto* data = static_cast<const float*>(o.data);
    return {data, data + count};
  }

  // Columns [begin, begin + width) of the rows that the step wrote.
  std::vector<float> Written(int state, std::int64_t begin, std::int64_t width) const {
    const std::vector<float>& s = states[static_cast<std::size_t>(state)];
    const std::int64_t row = static_cast<std::int64_t>(s.size()) / kCapacity;
    std::vector<float> rows;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const auto first = s.begin() + (t + 2) * row + begin;
      rows.insert(rows.end(), first, first + width);
    }
    return rows;
  }

  std::unique_ptr<Plan> plan = {};
  std::vector<float> x = {};
  std::vector<std::vector<float>> states = {};
  std::vector<float> weight = Numbers(64);
  std::vector<double> frequency = {1.0, 0.3, 0.1, 0.03};
};

TEST_F(FusedEntry, OfLatentAttention) {
  constexpr DType kF = DType::kF32;
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value p = b.Input("p", kF, {kT, Const(24 + 17 + 8)});
  const Value positions = b.Input("positions", DType::kI32, {kT});
  const Value table = b.RopeTable(positions, b.Frequency("rope", frequency), true);
  const Value w0 = b.Vector("w0", weight.data(), {24});
  const Value w1 = b.Vector("w1", weight.data() + 3, {17});
  const auto outer = b.Split(p, {24, 25});
  const auto inner = b.Split(outer[1], {17, 8});
  b.Output("q", b.RmsNorm(outer[0], w0, 1e-6, kF));
  b.Output("c", b.RmsNorm(inner[0], w1, 1e-3, kF));
  b.Output("k_pe", b.Rope(inner[1], table, kF));
  const auto [q, c] = b.DualRmsNorm(outer[0], inner[0], w0, w1, 1e-6, 1e-3, kF, kF);
  b.Output("fused q", q);
  b.Output("fused c", c);
  b.RopeWrite(c, inner[1], table, b.State("latent", kF, kCapacity, 25));
  ASSERT_NO_FATAL_FAILURE(Run(std::move(b), 49));
  EXPECT_EQ(Output("fused q"), Output("q"));
  EXPECT_EQ(Output("fused c"), Output("c"));
  EXPECT_EQ(Written(0, 0, 17), Output("c"));
  EXPECT_EQ(Written(0, 17, 8), Output("k_pe"));
}

TEST_F(FusedEntry, OfGroupedQueryAttention) {
  constexpr DType kF = DType::kF32;
  constexpr RopePairing kHalf = RopePairing::kHalf;
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value p = b.Input("p", kF, {kT, Const(5 * 10)});
  const Value positions = b.Input("positions", DType::kI32, {kT});
  const Value table = b.RopeTable(positions, b.Frequency("rope", frequency), true);
  const Value wq = b.Vector("wq", weight.data(), {10});
  const Value wk = b.Vector("wk", weight.data() + 9, {10});
  // Heads are packed here: the reshape of columns would need a copy.
  const Value heads = b.Reshape(p, {kT, Const(5), Const(10)});
  b.Output("q", b.NormRope(heads, table, wq, 1e-6, kF, kHalf));
  b.Output("k", b.Rope(b.RmsNorm(heads, wk, 1e-3, kF), table, kF, /*inverse=*/false, kHalf));
  const auto parts = b.Split(p, {30, 10, 10});
  const auto entry = b.NormRopeWrite({.q = parts[0],
                                      .k = parts[1],
                                      .v = parts[2],
                                      .table = table,
                                      .q_weight = wq,
                                      .k_weight = wk,
                                      .keys = b.State("keys", kF, kCapacity, 10),
                                      .values = b.State("values", kF, kCapacity, 10)},
                                     1e-6, 1e-3, kF, kHalf);
  b.Output("fused q", entry.q);
  ASSERT_NO_FATAL_FAILURE(Run(std::move(b), 50));
  const std::vector<float> q = Output("q");
  const std::vector<float> k = Output("k");
  const std::vector<float> fused = Output("fused q");
  for (std::size_t t = 0; t < kTokens; ++t) {
    for (std::size_t i = 0; i < 50; ++i) {
      if (i < 30) {
        EXPECT_EQ(fused[t * 30 + i], q[t * 50 + i]);
      } else if (i < 40) {
        EXPECT_EQ(Written(0, 0, 10)[t * 10 + i - 30], k[t * 50 + i]);
      } else {
        EXPECT_EQ(Written(1, 0, 10)[t * 10 + i - 40], x[t * 50 + i]);
      }
    }
  }
}

}  // namespace
}  // namespace birkhoff::graph
