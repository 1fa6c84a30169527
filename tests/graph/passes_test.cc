#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "graph/builder.h"
#include "graph/order.h"
#include "graph/passes/canonical.h"
#include "graph/passes/engine.h"
#include "graph/print.h"
#include "graph/verify.h"
#include "ops/defs.h"
#include "random_graph.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;
using testing::HasSubstr;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};
const std::vector<ops::Extent> kRow = {kT, Const(4)};

// butterfly(axpy(x, y), y), with any factor.
const Recipe kChain = {
    .name = "chain",
    .level = Level::kO1,
    .pattern =
        [](PatternBuilder& b) {
          const Value x = b.In("x", DType::kF32, kRow);
          const Value y = b.In("y", DType::kF32, kRow);
          const Value a = b.Capture(b.Op(kAxpy, {x, y}, {{"by", 0.0}})[0], "by", "by");
          for (Value v : b.Op(kButterfly, {a, y}, {})) b.Out(v);
        },
    .emit = [](Emitter& e) -> std::vector<Value> {
      return e.Op(kAxpyButterfly, {e["x"], e["y"]}, {{"by", e.binding().Number("by")}});
    },
    .expected = [](const LayerInfo& layer) { return layer.layer == 0 ? 1 : 0; },
};

// axpy(x, y) and reverse(x), which know nothing of each other.
const Recipe kSiblings = {
    .name = "siblings",
    .level = Level::kO2,
    .pattern =
        [](PatternBuilder& b) {
          const Value x = b.In("x", DType::kF32, kRow);
          const Value y = b.In("y", DType::kF32, kRow);
          b.Out(b.Capture(b.Op(kAxpy, {x, y}, {{"by", 0.0}})[0], "by", "by"));
          b.Out(b.Op(kReverse, {x}, {})[0]);
        },
    .guard = [](const Graph&, const Binding& binding, const Pattern&) -> Refusal {
      if (binding.Number("by") != 3) return {};
      return Refusal("needs a factor other than 3, got 3");
    },
    .emit = [](Emitter& e) -> std::vector<Value> {
      return e.Op(kAxpyReverse, {e["x"], e["y"]}, {{"by", e.binding().Number("by")}});
    },
};

const Recipe* const kBoth[] = {&kSiblings, &kChain};
const Recipe* const kOnlyChain[] = {&kChain};
const Recipe* const kOnlySiblings[] = {&kSiblings};

// Makes a graph of one layer over x and y.
struct Maker {
  Builder b = {};
  Builder::Scope scope = b.Site(0, "attn");
  Value x = b.Input("x", DType::kF32, kRow);
  Value y = b.Input("y", DType::kF32, kRow);

  Value Axpy(Value p, Value q, double by = 0.5) { return b.Op(kAxpy, {p, q}, {{"by", by}})[0]; }
  std::vector<Value> Butterfly(Value p, Value q) { return b.Op(kButterfly, {p, q}, {}); }
  Value Reverse(Value p) { return b.Op(kReverse, {p}, {})[0]; }
  Graph Done(const std::vector<Value>& outputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) b.Output(std::to_string(i), outputs[i]);
    Result<Graph> g = std::move(b).Finish();
    EXPECT_TRUE(g.ok()) << g.status().message();
    return *std::move(g);
  }
};

// The outputs of a graph, one after another.
std::vector<float> Outputs(const Graph& g, std::int64_t width) {
  constexpr std::int64_t kTokens = 3;
  std::vector<float> x(static_cast<std::size_t>(kTokens * width));
  std::vector<float> y(x.size());
  const std::int32_t rows[] = {2, 0};
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i * 37 % 101) / 8 - 5;
    y[i] = static_cast<float>(i * 53 % 97) / 16 - 3;
  }
  const bool has_index = g.inputs.size() > 1 && g[g.inputs[1]].type.dtype == DType::kI32;
  const void* const inputs[] = {x.data(), has_index ? static_cast<const void*>(rows) : y.data()};
  const auto data = Evaluate(g, {.inputs = inputs, .tokens = kTokens, .rows = 2});
  std::vector<float> out;
  for (const Output& o : g.outputs) {
    const auto& v = data[static_cast<std::size_t>(o.value.id)];
    out.insert(out.end(), v.begin(), v.end());
  }
  return out;
}

FusionReport Fused(Graph& g, std::span<const Recipe* const> recipes,
                   const FusionSettings& settings = {}, const FusionTarget& target = {}) {
  Result<FusionReport> report = Fuse(g, recipes, settings, target);
  EXPECT_TRUE(report.ok()) << report.status().message();
  if (!report.ok()) return {};
  EXPECT_TRUE(Verify(g).ok());
  return *std::move(report);
}

// Fuses nothing, for this reason.
void ExpectMiss(Graph g, std::span<const Recipe* const> recipes, const std::string& why) {
  const std::vector<float> before = Outputs(g, 4);
  const FusionReport report = Fused(g, recipes);
  EXPECT_EQ(report.recipes[0].matched, 0);
  ASSERT_FALSE(report.recipes[0].misses.empty());
  EXPECT_THAT(report.recipes[0].misses[0].reason, HasSubstr(why));
  EXPECT_THAT(report.recipes[0].misses[0].place, HasSubstr("passes_test.cc:"));
  EXPECT_EQ(Outputs(g, 4), before);
}

TEST(Fuse, ReplacesAMatch) {
  Maker m;
  const auto out = m.Butterfly(m.Axpy(m.Reverse(m.x), m.y), m.y);
  Graph g = m.Done({out[0], m.Reverse(out[1])});
  const std::vector<float> before = Outputs(g, 4);
  const FusionReport report = Fused(g, kOnlyChain);
  EXPECT_EQ(report.recipes[0].matched, 1);
  EXPECT_EQ(report.nodes_before, 4);
  EXPECT_EQ(report.nodes_after, 3);
  EXPECT_THAT(ToText(g), HasSubstr("axpy_butterfly(%2, y) {by=0.5}"));
  EXPECT_EQ(g.nodes[1].labels.layer, 0);
  EXPECT_EQ(Outputs(g, 4), before);
}

// Nodes between siblings, before and behind, that the fused node must stand between.
TEST(Fuse, PutsTheNewNodeWhereAllIsThere) {
  Maker m;
  const Value r = m.Reverse(m.x);
  const Value early = m.Axpy(r, m.x);  // reads a result of the match before the other is there
  const Value y = m.Axpy(m.y, m.y, 3);
  const Value a = m.Axpy(m.x, y);
  Graph g = m.Done({early, a, r});
  const std::vector<float> before = Outputs(g, 4);
  EXPECT_EQ(Fused(g, kOnlySiblings).recipes[0].matched, 1);
  EXPECT_THAT(ToText(g), HasSubstr("axpy_reverse"));
  EXPECT_EQ(Outputs(g, 4), before);
}

TEST(Fuse, SaysWhatItSawInTheWay) {
  Maker m;
  const auto out = m.Butterfly(m.Axpy(m.x, m.y), m.x);
  ExpectMiss(m.Done({out[0]}), kOnlyChain, "butterfly whose operand 1 is x");
}

TEST(Fuse, LeavesWhatIsReadOutside) {
  Maker m;
  const Value a = m.Axpy(m.x, m.y);
  const auto out = m.Butterfly(a, m.y);
  ExpectMiss(m.Done({out[0], m.Reverse(a)}), kOnlyChain, "is read outside, by %");
}

TEST(Fuse, LeavesWhatIsAnOutput) {
  Maker m;
  const Value a = m.Axpy(m.x, m.y);
  ExpectMiss(m.Done({m.Butterfly(a, m.y)[0], a}), kOnlyChain, "is an output");
}

TEST(Fuse, LeavesWhatDependsOnItself) {
  Maker m;
  const Value r = m.Reverse(m.x);
  const Value a = m.Axpy(m.x, m.Reverse(r));
  ExpectMiss(m.Done({a, r}), kOnlySiblings, "not convex: %");
}

TEST(Fuse, LeavesWhatReadsAnotherOfItsNodes) {
  Maker m;
  const Value r = m.Reverse(m.x);
  ExpectMiss(m.Done({m.Axpy(m.x, r), r}), kOnlySiblings, "is what the match makes");
}

TEST(Fuse, LeavesWhatTheGuardRefuses) {
  Maker m;
  const Value r = m.Reverse(m.x);
  ExpectMiss(m.Done({m.Axpy(m.x, m.y, 3), r}), kOnlySiblings, "needs a factor other than 3, got 3");
}

// A match that is refused is no reason to overlook another one from the same root.
TEST(Fuse, GoesOnWhereAMatchIsRefused) {
  Maker m;
  const Value r = m.Reverse(m.x);
  Graph g = m.Done({m.Axpy(m.x, m.y, 3), r, m.Axpy(m.x, m.y, 2)});
  const std::vector<float> before = Outputs(g, 4);
  EXPECT_EQ(Fused(g, kOnlySiblings).recipes[0].matched, 1);
  EXPECT_THAT(ToText(g), HasSubstr("axpy_reverse(x, y) {by=2}"));
  EXPECT_EQ(Outputs(g, 4), before);
}

// What the new op does not take is a miss with the op's words, and the graph is as it was.
TEST(Fuse, LeavesWhatTheNewOpRefuses) {
  Recipe wrong = kChain;
  wrong.emit = [](Emitter& e) -> std::vector<Value> {
    e.Op(kReverse, {e["x"]}, {});
    return e.Op(kPick, {e["x"]}, {});
  };
  const Recipe* const recipes[] = {&wrong};
  Maker m;
  ExpectMiss(m.Done({m.Butterfly(m.Axpy(m.x, m.y), m.y)[0]}), recipes,
             "pick: expected 2 operands, got 1");
}

TEST(Fuse, FailsWhereARecipeIsWrong) {
  Recipe wrong = kChain;
  const Recipe* const recipes[] = {&wrong};
  const auto message = [&] {
    Maker m;
    Graph g = m.Done({m.Butterfly(m.Axpy(m.x, m.y), m.y)[0]});
    const Status s = Fuse(g, recipes, {}).status();
    EXPECT_EQ(s.code(), StatusCode::kInternal);
    return s.message();
  };
  wrong.emit = [](Emitter& e) -> std::vector<Value> { return e.Op(kReverse, {e["x"]}, {}); };
  EXPECT_THAT(message(), HasSubstr("chain: a rewrite gives 1 values, its pattern 2"));
  wrong.emit = [](Emitter& e) -> std::vector<Value> { return e.Op(kReverse, {e["z"]}, {}); };
  EXPECT_THAT(message(), HasSubstr("chain: the pattern has no \"z\""));
}

// The match of a recipe with its root at the last node of a graph.
Binding BindingOf(const Graph& g, const Pattern& pattern) {
  Miss miss;
  const Matcher matcher(pattern, static_cast<int>(pattern.graph.nodes.size()) - 1);
  const auto found = matcher.At(
      g, Uses(g), static_cast<int>(g.nodes.size()) - 1, [](const Binding&) { return Refusal(); },
      miss);
  EXPECT_TRUE(found.has_value()) << miss.reason;
  return found.value_or(Binding());
}

TEST(Replace, LeavesTheGraphAsItWasWhereItFails) {
  PatternBuilder b;
  kChain.pattern(b);
  const Pattern pattern = *std::move(b).Finish();
  Maker m;
  Graph g = m.Done({m.Butterfly(m.Axpy(m.x, m.y), m.y)[0]});
  const std::string before = ToText(g);
  const Status s = Replace(g, pattern, BindingOf(g, pattern), [](Emitter& e) {
    const Value r = e.Op(kReverse, {e["x"]}, {})[0];
    return e.Op(kPick, {r}, {});
  });
  EXPECT_FALSE(s.ok());
  EXPECT_EQ(ToText(g), before);
}

TEST(Fuse, LeavesWhatDoesNotPayUnlessAskedFor) {
  Recipe dear = kChain;
  dear.pays = [](const Device& device, const Graph&, const Binding&, const Pattern&) -> Refusal {
    return device.sm == 90 ? Refusal("does not pay: 3 us for 2") : Refusal();
  };
  const Recipe* const recipes[] = {&dear};
  const Device hopper = {.sm = 90};
  const Device ampere = {.sm = 80};
  const auto fused = [&](const Device& device, FusionSettings settings) {
    Maker m;
    Graph g = m.Done({m.Butterfly(m.Axpy(m.x, m.y), m.y)[0]});
    settings.strict = FusionStrict::kError;  // what was found and left is no shortfall
    return Fused(g, recipes, settings, {.device = &device, .layers = {{"test", "any"}}}).recipes[0];
  };
  const RecipeReport left = fused(hopper, {});
  EXPECT_EQ(left.matched, 0);
  EXPECT_EQ(left.gated, 1);
  EXPECT_EQ(left.layers[0].gated, 1);
  EXPECT_EQ(left.why_gated, "does not pay: 3 us for 2");
  EXPECT_EQ(fused(ampere, {}).matched, 1);
  EXPECT_EQ(fused(hopper, {.enable = {"chain"}}).matched, 1);
}

TEST(Fuse, RunsNothingWithoutWhatItNeeds) {
  Recipe needy = kChain;
  needy.needs = {"siblings"};
  needy.expected = [](const LayerInfo&) { return 1; };
  const Recipe* const both[] = {&needy, &kSiblings};
  Maker m;
  Graph g = m.Done({m.Reverse(m.x)});
  const FusionReport report =
      Fused(g, both, {.disable = {"siblings"}, .strict = FusionStrict::kError},
            {.layers = {{"test", "any"}}});
  EXPECT_EQ(report.recipes[0].name, "siblings");
  EXPECT_EQ(report.recipes[1].off, "needs siblings, which is off");
  EXPECT_EQ(Shortfall(report.recipes[1]), "");
}

TEST(Fuse, LevelsAndSwitches) {
  const auto make = [] {
    Maker m;
    const auto out = m.Butterfly(m.Axpy(m.x, m.y), m.y);
    const Value r = m.Reverse(out[0]);
    return m.Done({m.Axpy(out[0], m.y), r, out[1]});
  };
  const auto matched = [&](const FusionSettings& options) {
    Graph g = make();
    std::string text;
    for (const RecipeReport& r : Fused(g, kBoth, options).recipes)
      text += r.name + " " + (r.off.empty() ? std::to_string(r.matched) : r.off) + "; ";
    return text;
  };
  EXPECT_EQ(matched({}), "chain 1; siblings 1; ");
  EXPECT_EQ(matched({.level = Level::kO1}), "chain 1; siblings of a higher level; ");
  EXPECT_EQ(matched({.level = Level::kO0}),
            "chain of a higher level; siblings of a higher level; ");
  EXPECT_EQ(matched({.level = Level::kO0, .enable = {"siblings"}}),
            "chain of a higher level; siblings 1; ");
  EXPECT_EQ(matched({.disable = {"chain"}}), "chain disabled; siblings 1; ");
  EXPECT_EQ(matched({.only = {"chain"}}), "chain 1; siblings not among the only ones; ");
  Graph g = make();
  const auto unknown = Fuse(g, kBoth, {.disable = {"chian"}});
  EXPECT_EQ(unknown.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.status().message(),
              HasSubstr("no recipe \"chian\"; there are siblings, chain"));
}

TEST(Fuse, OrderIsAsDeclared) {
  Recipe first = kSiblings;
  Recipe second = kChain;
  second.after = {"siblings"};
  const Recipe* const both[] = {&second, &first};
  Maker m;
  Graph g = m.Done({m.Reverse(m.x)});
  EXPECT_EQ(Fused(g, both).recipes[0].name, "siblings");
  first.after = {"chain"};
  EXPECT_THAT(Fuse(g, both, {}).status().message(), HasSubstr("wait for each other"));
}

TEST(Fuse, StrictFailsWithTheDeepestMiss) {
  Maker m;
  const Value a = m.Axpy(m.x, m.y);
  Graph g = m.Done({m.Butterfly(a, m.y)[0], a});
  const Status s =
      Fuse(g, kOnlyChain, {.strict = FusionStrict::kError}, {.layers = {{"test", "any"}}}).status();
  EXPECT_EQ(s.code(), StatusCode::kNotFound);
  EXPECT_THAT(s.message(), HasSubstr("chain matched 0 of 1, in layer 0 0 of 1; deepest miss: step "
                                     "2 of 2, interior value %2 is an output at passes_test.cc:"));
}

// Nothing to begin at is a reason too.
TEST(Fuse, StrictNamesTheOpThatIsGone) {
  Maker m;
  Graph g = m.Done({m.Axpy(m.x, m.y)});
  const Status s =
      Fuse(g, kOnlyChain, {.strict = FusionStrict::kError}, {.layers = {{"test", "any"}}}).status();
  EXPECT_THAT(s.message(), HasSubstr("deepest miss: step 1 of 2, wanted butterfly reading %2, saw "
                                     "nothing at passes_test.cc:"));
  Maker n;
  Graph none = n.Done({n.Reverse(n.x)});
  const Status t =
      Fuse(none, kOnlyChain, {.strict = FusionStrict::kError}, {.layers = {{"test", "any"}}})
          .status();
  EXPECT_THAT(t.message(), testing::EndsWith("deepest miss: step 0 of 2, no axpy is left"));
}

TEST(Fuse, SaysWhoTookAMatch) {
  Recipe hungry = kSiblings;
  hungry.phase = Phase::kMerge;
  const Recipe* const both[] = {&hungry, &kChain};
  Maker m;
  const auto out = m.Butterfly(m.Axpy(m.x, m.y), m.y);
  Graph g = m.Done({out[0], m.Reverse(m.x)});
  const FusionReport report = Fused(g, both, {}, {.layers = {{"test", "any"}}});
  EXPECT_EQ(report.recipes[0].matched, 1);
  EXPECT_EQ(report.recipes[1].matched, 0);
  EXPECT_EQ(report.recipes[1].starved_by, "siblings");
}

// A ring that is read before and after it is written; the sum of both needs the second read.
Graph ReadWrittenRead() {
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value x = b.Input("x", DType::kF32, kRow);
  const Value ring = b.State("ring", DType::kF32, 8, 4);
  const Value h = b.Op(kAddHistory, {x, ring}, {})[0];
  const Value ring1 = b.Op(kPush, {x, ring}, {})[0];
  const Value z = b.Op(kAddHistory, {x, ring1}, {})[0];
  b.Output("out", b.Op(kAxpy, {h, z}, {{"by", 0.5}})[0]);
  return *std::move(b).Finish();
}

// A write between the match's reads of a state keeps it apart.
TEST(Fuse, LeavesWhatAWriteSeparates) {
  static const Recipe chained = {
      .name = "chained",
      .pattern =
          [](PatternBuilder& b) {
            const Value x = b.In("x", DType::kF32, kRow);
            const Value z = b.In("z", DType::kF32, kRow);
            const Value ring = b.State("ring", DType::kF32, 8, 4);
            b.Out(b.Op(kAxpy, {b.Op(kAddHistory, {x, ring}, {})[0], z}, {{"by", 0.5}})[0]);
          },
      .emit = [](Emitter&) -> std::vector<Value> { return {}; }};
  const Recipe* const recipes[] = {&chained};
  Graph g = ReadWrittenRead();
  const FusionReport report = Fused(g, recipes);
  ASSERT_EQ(report.recipes[0].misses.size(), 1U);
  EXPECT_THAT(report.recipes[0].misses[0].reason, HasSubstr("depends on what the match makes"));
}

// x --> push --> ring'  |  x --> reverse --> r: a match of both would write the ring.
const Recipe kPushing = {.name = "pushing",
                         .pattern =
                             [](PatternBuilder& b) {
                               const Value x = b.In("x", DType::kF32, kRow);
                               b.Out(b.Op(kPush, {x, b.State("ring", DType::kF32, 8, 4)}, {})[0]);
                               b.Out(b.Op(kReverse, {x}, {})[0]);
                             },
                         .emit = [](Emitter&) -> std::vector<Value> { return {}; }};

// A write is put behind those who read what was there before.
TEST(Fuse, PutsAWriteBehindEarlierReads) {
  Recipe pushing = kPushing;
  pushing.emit = [](Emitter& e) -> std::vector<Value> {
    return {e.Op(kPush, {e["x"], e["ring"]}, {})[0], e.Op(kReverse, {e["x"]}, {})[0]};
  };
  PatternBuilder p;
  pushing.pattern(p);
  const Pattern pattern = *std::move(p).Finish();
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value x = b.Input("x", DType::kF32, kRow);
  const Value ring = b.State("ring", DType::kF32, 8, 4);
  b.Output("history", b.Op(kAddHistory, {x, ring}, {})[0]);
  b.Op(kPush, {x, ring}, {});
  b.Output("reverse", b.Op(kReverse, {x}, {})[0]);
  Graph g = *std::move(b).Finish();
  const Binding binding = BindingOf(g, pattern);
  EXPECT_FALSE(Illegal(g, Uses(g), pattern, binding));
  ASSERT_TRUE(Replace(g, pattern, binding, pushing.emit).ok());
  EXPECT_TRUE(Verify(g).ok()) << Verify(g).message();
  EXPECT_EQ(g.nodes[0].op, &kReverse);  // what writes nothing is not in the way of what reads
  EXPECT_EQ(g.nodes[2].op, &kPush);
}

// A state that only a node which stays reads is read by the new nodes perhaps: before it is
// written.
TEST(Fuse, LeavesAStateThatMustBeReadTooLate) {
  static const Recipe keeping = {
      .name = "keeping",
      .pattern =
          [](PatternBuilder& b) {
            const Value x = b.In("x", DType::kF32, kRow);
            const Value z = b.In("z", DType::kF32, kRow);
            const Value ring = b.State("ring", DType::kF32, 8, 4);
            b.Out(b.Op(kAxpy, {b.Keep(b.Op(kAddHistory, {x, ring}, {})[0]), z}, {{"by", 0.5}})[0]);
          },
      .emit = [](Emitter& e) -> std::vector<Value> {
        const Value h = e.Op(kAddHistory, {e["x"], e["ring"]}, {})[0];
        return e.Op(kAxpy, {h, e["z"]}, {{"by", 0.5}});
      }};
  const Recipe* const recipes[] = {&keeping};
  Graph g = ReadWrittenRead();
  const FusionReport report = Fused(g, recipes);
  ASSERT_EQ(report.recipes[0].misses.size(), 1U);
  EXPECT_THAT(report.recipes[0].misses[0].reason, HasSubstr("depends on what the match makes"));
}

// Whoever reads the ring before it is written must not wait for what the match makes.
TEST(Fuse, LeavesAWriteThatWaitsForItsOwnResult) {
  const Recipe* const recipes[] = {&kPushing};
  Builder b;
  const auto scope = b.Site(0, "attn");
  const Value x = b.Input("x", DType::kF32, kRow);
  const Value ring = b.State("ring", DType::kF32, 8, 4);
  b.Output("history", b.Op(kAddHistory, {b.Op(kReverse, {x}, {})[0], ring}, {})[0]);
  b.Op(kPush, {x, ring}, {});
  Result<Graph> g = std::move(b).Finish();
  ASSERT_TRUE(g.ok());
  const FusionReport report = Fused(*g, recipes);
  ASSERT_EQ(report.recipes[0].misses.size(), 1U);
  EXPECT_THAT(report.recipes[0].misses[0].reason, HasSubstr("add_history"));
  EXPECT_THAT(report.recipes[0].misses[0].reason, HasSubstr("depends on what the match makes"));
}

TEST(Fuse, APatternMustReplaceTheStatesThatItWrites) {
  static const Recipe forgetful = {.name = "forgetful",
                                   .pattern =
                                       [](PatternBuilder& b) {
                                         const Value x = b.In("x", DType::kF32, kRow);
                                         b.Op(kPush, {x, b.State("ring", DType::kF32, 8, 4)}, {});
                                         b.Out(b.Op(kReverse, {x}, {})[0]);
                                       },
                                   .emit = [](Emitter&) -> std::vector<Value> { return {}; }};
  const Recipe* const recipes[] = {&forgetful};
  Maker m;
  Graph g = m.Done({m.Reverse(m.x)});
  EXPECT_THAT(Fuse(g, recipes, {}).status().message(),
              HasSubstr("forgetful: pattern: writes ring@1 and does not replace it"));
}

TEST(Fuse, APatternThatIsInTwoPiecesIsWrong) {
  static const Recipe apart = {.name = "apart",
                               .pattern =
                                   [](PatternBuilder& b) {
                                     b.Out(b.Op(kReverse, {b.In("x", DType::kF32, kRow)}, {})[0]);
                                     b.Out(b.Op(kReverse, {b.In("y", DType::kF32, kRow)}, {})[0]);
                                   },
                               .emit = [](Emitter&) -> std::vector<Value> { return {}; }};
  const Recipe* const recipes[] = {&apart};
  Maker m;
  Graph g = m.Done({m.Reverse(m.x)});
  EXPECT_THAT(Fuse(g, recipes, {}).status().message(), HasSubstr("two pieces"));
}

// Any legal order of the nodes, with other nodes between and values of other numbers, gives as many
// matches and the same outputs.
TEST(Fuse, OrderOfNodesDoesNotMatter) {
  int matched = 0;
  for (unsigned seed = 0; seed < 1000; ++seed) {
    std::mt19937 random(seed);
    Graph g = RandomGraph(random);
    Graph shuffled = g;
    std::vector<double> keys(g.nodes.size());
    for (double& key : keys) key = static_cast<double>(random());
    ASSERT_TRUE(SortNodes(shuffled, keys).ok());
    ASSERT_TRUE(Verify(shuffled).ok()) << seed;
    const std::vector<float> before = Outputs(g, 24);
    const FusionReport a = Fused(g, kOnlyChain);
    const FusionReport b = Fused(shuffled, kOnlyChain);
    ASSERT_EQ(a.recipes[0].matched, b.recipes[0].matched) << seed;
    ASSERT_EQ(Outputs(g, 24), before) << seed;
    ASSERT_EQ(Outputs(shuffled, 24), before) << seed;
    matched += a.recipes[0].matched;
    const FusionReport c = Fused(g, kOnlySiblings);
    ASSERT_EQ(Outputs(g, 24), before) << seed;
    matched += c.recipes[0].matched;
  }
  EXPECT_GT(matched, 100);
}

TEST(Canonicalise, ViewsOfViewsAreOne) {
  Maker m;
  const Value cube = m.b.Reshape(m.Reverse(m.x), {kT, Const(2), Const(2)});
  const Value flat = m.b.Reshape(cube, {kT, Const(4)});  // what it was
  const Value again = m.b.Reshape(flat, {kT, Const(1), Const(4)});
  Graph g = m.Done({m.Axpy(flat, m.y), again});
  const std::vector<float> before = Outputs(g, 4);
  EXPECT_EQ(Canonicalise(g), 2);
  EXPECT_TRUE(Verify(g).ok());
  EXPECT_THAT(ToText(g), HasSubstr("axpy(%2, y)"));
  EXPECT_THAT(ToText(g), HasSubstr("reshape(%2)"));
  EXPECT_EQ(Outputs(g, 4), before);
  EXPECT_EQ(Canonicalise(g), 0);
}

// A view that changes nothing may stand between two others.
TEST(Canonicalise, ViewsAreOneAcrossOneThatIsNone) {
  Maker m;
  const auto slice = [&](Value v, std::int64_t begin, std::int64_t width) {
    return m.b.Op(ops::kSlice, {v}, {{"begin", begin}, {"width", width}})[0];
  };
  const Value some = slice(m.Reverse(m.x), 1, 3);
  const Value none = m.b.Reshape(m.Reverse(m.y), {kT, Const(4)});
  const Value one = slice(slice(some, 0, 3), 2, 1);
  Graph g = m.Done({m.b.RmsNorm(one, 0, DType::kF32), none});
  Canonicalise(g);
  EXPECT_TRUE(Verify(g).ok());
  EXPECT_THAT(ToText(g), HasSubstr("slice(%2) {begin=3, width=1}"));
  EXPECT_EQ(Canonicalise(g), 0);
}

TEST(Canonicalise, WhatIsComputedTwiceIsComputedOnce) {
  Maker m;
  const auto left = m.Butterfly(m.Reverse(m.x), m.y);
  const auto right = m.Butterfly(m.Reverse(m.x), m.y);
  Graph g = m.Done({m.Axpy(left[0], right[1]), right[0], m.Axpy(left[0], left[1], 2)});
  const std::vector<float> before = Outputs(g, 4);
  EXPECT_EQ(Canonicalise(g), 2);
  EXPECT_TRUE(Verify(g).ok());
  EXPECT_EQ(Outputs(g, 4), before);
}

TEST(Canonicalise, KeepsWhatRandomGraphsCompute) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Graph g = RandomGraph(random);
    const std::vector<float> before = Outputs(g, 24);
    Canonicalise(g);
    ASSERT_TRUE(Verify(g).ok()) << seed << " " << Verify(g).message();
    ASSERT_EQ(Outputs(g, 24), before) << seed;
    ASSERT_EQ(Canonicalise(g), 0) << seed;
  }
}

}  // namespace
}  // namespace birkhoff::graph
