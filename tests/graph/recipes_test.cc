// Every recipe on the smallest graph that it fits, which is its pattern: it is found once, and what
// it puts there gives the bits of what was there.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "base/reserved_memory.h"
#include "graph/passes/canonical.h"
#include "graph/passes/engine.h"
#include "graph/passes/recipes/recipes.h"
#include "graph/plan.h"
#include "graph/print.h"
#include "graph/verify.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

using testing::HasSubstr;

// A pattern as a graph with data: what it gives and what nobody reads are outputs.
struct Example {
  explicit Example(const Recipe& recipe) {
    PatternBuilder b;
    recipe.pattern(b);
    Result<Pattern> p = std::move(b).Finish();
    EXPECT_TRUE(p.ok()) << p.status().message();
    if (!p.ok()) return;
    graph = std::move(p->graph);
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0, 1);
    for (ValueInfo& v : graph.values) {
      if (v.origin != Origin::kParameter) continue;
      std::int64_t n = 1;
      for (const ops::Extent& e : v.type.shape) n *= e.times;
      parameters.emplace_back(static_cast<std::size_t>(n));
      for (float& x : parameters.back()) x = normal(random) * 0.3f + 0.5f;
      v.data = parameters.back().data();
    }
    std::vector<bool> read(graph.values.size());
    for (const Node& node : graph.nodes) {
      for (Value v : node.in) read[static_cast<std::size_t>(v.id)] = true;
    }
    for (std::size_t v = 0; v < graph.values.size(); ++v) {
      const ValueInfo& info = graph.values[v];
      const Value value{static_cast<int>(v)};
      const bool given = std::find(p->out.begin(), p->out.end(), value) != p->out.end();
      if (info.origin == Origin::kResult && info.type.kind == ops::Kind::kActivation &&
          info.type.layout == ops::Layout::kPacked && (given || !read[v]))
        graph.outputs.push_back({std::to_string(v), value});
    }
    // What is captured stands for anything: here for numbers that are no special case.
    for (Node& node : graph.nodes) {
      std::vector<ops::Attributes::Entry> entries(node.attributes.entries().begin(),
                                                  node.attributes.entries().end());
      for (ops::Attributes::Entry& e : entries) {
        if (e.name.ends_with("eps") && std::get<double>(e.value) == 0) e.value = 1e-5;
        if (e.name == "limit") e.value = 0.75;
      }
      node.attributes = ops::Attributes(std::move(entries));
    }
  }

  Graph graph = {};
  std::vector<std::vector<float>> parameters = {};
};

// The bytes of all outputs and states after a step of so many tokens.
std::map<std::string, std::vector<std::byte>> Results(const Graph& graph, std::int64_t tokens,
                                                      bool poison) {
  auto made = Plan::Make(graph, {.max_tokens = tokens, .max_rows = tokens, .poison = poison});
  EXPECT_TRUE(made.ok()) << made.status().message();
  if (!made.ok()) return {};
  Plan& plan = **made;
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 1);
  std::vector<std::vector<std::byte>> inputs;
  std::vector<const void*> pointers;
  for (Value v : graph.inputs) {
    const ops::ValueType& type = graph[v].type;
    std::int64_t n = tokens;
    for (std::size_t d = 1; d < type.shape.size(); ++d) n *= type.shape[d].times;
    inputs.emplace_back(static_cast<std::size_t>(n * SizeOf(type.dtype)));
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = normal(random);
      if (type.dtype == DType::kF32) {
        std::memcpy(inputs.back().data() + i * 4, &x, 4);
      } else {
        const bf16 half = static_cast<bf16>(x);
        std::memcpy(inputs.back().data() + i * 2, &half, 2);
      }
    }
  }
  for (const auto& input : inputs) pointers.push_back(input.data());
  std::vector<ReservedMemory> states;
  std::map<std::string, std::vector<std::byte>> out;
  for (int s = 0; s < static_cast<int>(graph.states.size()); ++s) {
    const auto bytes = static_cast<std::size_t>(plan.StateBytes(s));
    auto memory = ReservedMemory::Make(bytes);
    EXPECT_TRUE(memory.ok());
    if (!memory.ok()) return {};
    states.push_back(*std::move(memory));
    plan.SetState(s, states.back().data());
  }
  const std::int32_t begin[] = {0, static_cast<std::int32_t>(tokens)};
  const std::int32_t slot[] = {0};
  const std::int64_t past[] = {0};
  ThreadPool pool(1);
  const Status s =
      plan.Run({.inputs = pointers, .tokens = tokens, .batch = {1, begin, slot, past}}, pool);
  EXPECT_TRUE(s.ok()) << s.message();
  for (int o = 0; o < static_cast<int>(graph.outputs.size()); ++o) {
    const ops::Operand& value = plan.output(o);
    std::int64_t n = SizeOf(value.dtype);
    for (int d = 0; d < value.rank; ++d) n *= value.dim[d];
    const auto* data = static_cast<const std::byte*>(value.data);
    out[graph.outputs[static_cast<std::size_t>(o)].name].assign(data, data + n);
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto bytes = static_cast<std::size_t>(plan.StateBytes(static_cast<int>(i)));
    out["state " + graph.states[i].name].assign(states[i].data(), states[i].data() + bytes);
  }
  return out;
}

class EveryRecipe : public testing::TestWithParam<const Recipe*> {};

TEST_P(EveryRecipe, IsFoundOnceAndKeepsEveryBit) {
  if (GetParam() == &kMhcFirst) GTEST_SKIP() << "gives a view: see MhcFirst";
  Recipe recipe = *GetParam();
  recipe.needs = {};  // the example has what those would have made
  const Example example(recipe);
  Graph fused = example.graph;
  EXPECT_EQ(Canonicalise(fused), 0) << "no graph has this form";
  const Recipe* const only[] = {&recipe};
  const auto report = Fuse(fused, only, {.level = FusionLevel::kO3});
  ASSERT_TRUE(report.ok()) << report.status().message();
  ASSERT_EQ(report->recipes[0].matched, 1)
      << (report->recipes[0].misses.empty() ? "" : report->recipes[0].misses[0].reason) << "\n"
      << ToText(example.graph);
  EXPECT_LT(report->nodes_after, report->nodes_before);
  EXPECT_GE(report->recipes[0].saved.per_token, 0);
  for (const std::int64_t tokens : {1, 2, 7, 8}) {
    const auto want = Results(example.graph, tokens, false);
    // On a CPU no recipe changes a bit, not even those that may round less often elsewhere.
    EXPECT_EQ(Results(fused, tokens, false), want) << tokens;
    EXPECT_EQ(Results(fused, tokens, true), want) << tokens << ", poisoned";
  }
}

INSTANTIATE_TEST_SUITE_P(, EveryRecipe, testing::ValuesIn(AllRecipes().begin(), AllRecipes().end()),
                         [](const auto& param) {
                           std::string name(param.param->name);
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Recipes, NameEachOther) {
  for (const Recipe* r : AllRecipes()) {
    for (const auto* names : {&r->after, &r->needs}) {
      for (const std::string_view name : *names) {
        const auto other = std::find_if(AllRecipes().begin(), AllRecipes().end(),
                                        [&](const Recipe* o) { return o->name == name; });
        ASSERT_NE(other, AllRecipes().end()) << r->name << " names " << name;
        EXPECT_LE((*other)->phase, r->phase) << r->name << " names " << name;
      }
    }
  }
}

TEST(Recipes, AreInOneOrder) {
  Graph empty;
  const auto report = Fuse(empty, AllRecipes(), {.level = FusionLevel::kO3});
  ASSERT_TRUE(report.ok()) << report.status().message();
  std::string names;
  for (const RecipeReport& r : report->recipes) names += r.name + " ";
  EXPECT_EQ(names,
            "mla_dual_rms mhc_boundary mhc_tail mhc_boundary_norm norm_rope mhc_first "
            "norm_rope_write rope_write fold_quant.mhc fold_quant.norm fold_quant.swiglu ");
  EXPECT_EQ(Fuse(empty, AllRecipes(), {.level = FusionLevel::kO2})->hash, report->hash);
  EXPECT_NE(Fuse(empty, AllRecipes(), {.level = FusionLevel::kO1})->hash, report->hash);
}

// x in four streams, read by a collapse.
Graph FirstSite(bool as_output) {
  Builder b;
  const auto scope = b.Site("embed");
  const Value x = b.Input("x", DType::kF32, {{1, ops::Symbol::kTokens}, ops::Const(64)});
  const Value pre = b.Input("pre", DType::kF32, {{1, ops::Symbol::kTokens}, ops::Const(4)});
  const Value X = b.Broadcast(x, 4);
  b.Output("h", b.MhcCollapse(X, pre));
  if (as_output) b.Output("streams", X);
  return *std::move(b).Finish();
}

TEST(MhcFirst, ReadsOneCopy) {
  Graph g = FirstSite(false);
  const Graph before = g;
  const auto report = Fuse(g, AllRecipes(), {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_THAT(ToText(g), HasSubstr("= spread(x) : F32 [T, 4, 64] spread"));
  EXPECT_EQ(report->nodes_before - report->nodes_after, 1);
  EXPECT_EQ(Results(g, 5, true), Results(before, 5, false));
}

// The end of a model as wide as `hidden`.
Graph Tail(std::int64_t hidden) {
  Builder b;
  const auto scope = b.Site("head");
  constexpr ops::Extent kTokens = {1, ops::Symbol::kTokens};
  const auto weight = [&](const std::string& name, const Shape& shape) {
    return b.Vector(name, nullptr, shape);
  };
  const Value x = b.Input("x", DType::kBF16, {kTokens, ops::Const(hidden)});
  const Value streams =
      b.Input("streams", DType::kBF16, {kTokens, ops::Const(4), ops::Const(hidden)});
  const Value post = b.Input("post", DType::kF32, {kTokens, ops::Const(4)});
  const Value comb = b.Input("comb", DType::kF32, {kTokens, ops::Const(4), ops::Const(4)});
  const Value head = b.MhcHead(
      b.MhcPost(x, streams, post, comb),
      {weight("fn", {4, 4 * hidden}), weight("base", {4}), weight("scale", {1})}, 1e-6, 0);
  b.Output("h", b.RmsNorm(head, weight("norm", {hidden}), 1e-6, DType::kBF16));
  return *std::move(b).Finish();
}

TEST(MhcTail, IsLeftWhereItDoesNotPay) {
  const Recipe* const only[] = {&kMhcTailRecipe};
  const Device hopper = {.gpu = "NVIDIA H200", .sm = 90};
  const auto fused = [&](std::int64_t hidden, const Device& device) {
    Graph g = Tail(hidden);
    auto report = Fuse(g, only, {}, {.device = &device});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report->recipes[0];
  };
  EXPECT_EQ(fused(4096, hopper).matched, 1);
  EXPECT_EQ(fused(7168, Device()).matched, 1);
  EXPECT_EQ(fused(7168, hopper).matched, 0);
  EXPECT_THAT(fused(7168, hopper).why_gated,
              HasSubstr("does not pay on NVIDIA H200 at H = 7168: "));
}

TEST(MhcFirst, NeedsStreamsThatAreNoOutput) {
  Graph g = FirstSite(true);
  const Recipe* const only[] = {&kMhcFirst};
  const auto report = Fuse(g, only, {});
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->recipes[0].misses.size(), 1U);
  EXPECT_EQ(report->recipes[0].misses[0].reason,
            "needs streams that are no output, got \"streams\"");
}

}  // namespace
}  // namespace birkhoff::graph
