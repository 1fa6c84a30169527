#include "graph/builder.h"

#include <gmock/gmock.h>

#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr ops::Extent kT{1, ops::Symbol::kTokens};

TEST(Builder, InfersTypesWithoutData) {
  Builder b;
  const auto scope = b.Site(3, "attn");
  const Value x = b.Input("x", DType::kBF16, {kT, Const(256)});
  const Value norm = b.Vector("norm", nullptr, {256});
  b.Output("y", b.RmsNorm(x, norm, 1e-6, DType::kF32));
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const ValueInfo& y = (*graph)[graph->outputs[0].value];
  EXPECT_EQ(y.type.ToString(), "F32 [T, 256]");
  const Node& node = graph->nodes[static_cast<std::size_t>(y.producer)];
  EXPECT_EQ(node.labels.layer, 3);
  EXPECT_EQ(node.labels.site, "attn");
  EXPECT_THAT(node.file, HasSubstr("builder_test.cc"));
}

TEST(Builder, RoutesAddsAndMultipliesAsOtherModelsDo) {
  Builder b;
  const auto scope = b.Site(0, "mlp");
  const WeightMatrix wide = {.rows = 48, .cols = 64};
  const WeightMatrix narrow = {.rows = 16, .cols = 64};
  const Value x = b.Input("x", DType::kBF16, {kT, Const(64)});
  const Value qkv = b.Linear(x, {b.Matrix("q", &wide), b.Matrix("k", &narrow)}, DType::kBF16);
  const Value sum = b.Add(x, qkv, DType::kBF16);
  const Value logits = b.Linear(sum, b.Matrix("gate", &narrow), DType::kF32);
  const Routed routed = b.RouteSigmoid(logits, b.Vector("bias", nullptr, {16}),
                                       {.k = 4, .groups = 4, .topk_groups = 2, .scale = 2.5});
  const Value xq = b.Input("xq", DType::kF8E4M3, {kT, Const(64)});
  const Value xs = b.Input("xs", DType::kF32, {kT, Const(1)});
  const Value y = b.LinearFp8(xq, xs, b.Matrix("down", &wide), DType::kF32, 64);
  ASSERT_TRUE(b.status().ok()) << b.status().message();
  b.Output("expert", routed.expert);
  b.Output("weight", routed.weight);
  b.Output("y", y);
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ((*graph)[sum].type.ToString(), "BF16 [T, 64]");
  EXPECT_EQ((*graph)[routed.expert].type.ToString(), "I32 [T, 4]");
  EXPECT_EQ((*graph)[y].type.ToString(), "F32 [T, 48]");
}

// Latent attention as one graph says it: queries go into the latent space of the keys and the
// sums come out of it, head by head. Then attention with a key head for two heads.
TEST(Builder, AttendsInLatentSpaceAndInGroups) {
  Builder b;
  const auto scope = b.Site("test");
  const std::vector<WeightMatrix> up(4, {.rows = 8, .cols = 16});
  const Value q = b.Input("q", DType::kBF16, {kT, Const(4), Const(12)});
  const Value kv = b.Input("kv", DType::kBF16, {kT, Const(20)});
  const Value w = b.Matrices("w", up);
  const std::vector<Value> parts = b.Split(q, {8, 4});  // the rest would be rotated
  const Value absorbed = b.HeadLinear(parts[0], w, /*transposed=*/true, DType::kBF16);
  const Value wide = b.Concat(absorbed, parts[1]);
  const Value latent = b.KvWrite(kv, b.State("latent", DType::kBF16, 100, 20));
  const Value sums = b.LatentAttention(wide, latent, 16, 0.25, DType::kF32);
  const Value out = b.HeadLinear(sums, w, /*transposed=*/false, DType::kBF16);
  const Value keys = b.State("keys", DType::kBF16, 100, 24);
  const Value values = b.State("values", DType::kBF16, 100, 10);
  const Value y =
      b.GqaAttention(q, keys, values, {.key_heads = 2, .value_dim = 5, .scale = 0.5}, DType::kF32);
  ASSERT_TRUE(b.status().ok()) << b.status().message();
  b.Output("out", out);
  b.Output("y", y);
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ((*graph)[wide].type.ToString(), "BF16 [T, 4, 20]");
  EXPECT_EQ((*graph)[sums].type.ToString(), "F32 [T, 4, 16]");
  EXPECT_EQ((*graph)[out].type.ToString(), "BF16 [T, 4, 8]");
  EXPECT_EQ((*graph)[y].type.ToString(), "F32 [T, 4, 5]");
}

TEST(Builder, QuantisesAloneAndBehindWhatMakesRows) {
  Builder b;
  const auto scope = b.Site("test");
  const Value x = b.Input("x", DType::kBF16, {kT, Const(512)});
  const std::vector<Value> halves = b.Split(x, {256, 256});
  ASSERT_EQ(halves.size(), 2U) << b.status().message();
  const Quantised q = b.Quantise(halves[1], {.group = 0, .floor = kFp8RowFloor});
  const NormQuantised n = b.RmsNormQuantise(halves[0], b.Vector("norm", nullptr, {256}), 1e-6,
                                            DType::kF32, {.group = 32, .scale = Fp8Scale::kE8M0});
  const Quantised s = b.SwigluQuantise(x, x, 7, {});
  const std::vector<Value> all = {q.q, q.scale, n.out, n.fp8.q, n.fp8.scale, s.q, s.scale};
  for (const Value v : all) b.Output(std::to_string(v.id), v);
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  std::vector<std::string> types;
  for (const Value v : all) types.push_back((*graph)[v].type.ToString());
  EXPECT_THAT(types,
              ElementsAre("F8_E4M3 [T, 256]", "F32 [T, 1]", "F32 [T, 256]", "F8_E4M3 [T, 256]",
                          "F8_E8M0 [T, 8]", "F8_E4M3 [T, 512]", "F32 [T, 4]"));
}

TEST(Builder, FirstMistakeNamesPlaceOpOperandAndValues) {
  Builder b;
  const auto scope = b.Site("head");
  const Value x = b.Input("x", DType::kBF16, {kT, Const(256)});
  const Value norm = b.Vector("layers.0.norm", nullptr, {128});
  const int line = __LINE__ + 1;
  const Value y = b.RmsNorm(x, norm, 1e-6, DType::kF32);
  EXPECT_FALSE(y.valid());
  const std::string message = b.status().message();
  EXPECT_THAT(message, HasSubstr("builder_test.cc:" + std::to_string(line) + ": rms_norm"));
  EXPECT_THAT(message, HasSubstr("rms_norm weight: expected [256], got vector F32 [128]"));
  EXPECT_THAT(message, HasSubstr("layers.0.norm : vector F32 [128]"));

  // What follows does nothing and hides nothing.
  EXPECT_FALSE(b.RmsNorm(y, 1e-6, DType::kF32).valid());
  EXPECT_FALSE(b.Input("more", DType::kI32, {kT}).valid());
  b.Output("y", y);
  EXPECT_EQ(std::move(b).Finish().status().message(), message);
}

TEST(Builder, RefusesAnOperandThatIsNoValue) {
  Builder b;
  b.Op(kReverse, {Value{}}, {});
  EXPECT_THAT(b.status().message(), HasSubstr("reverse: operand 0 is no value"));
}

TEST(Builder, RefusesAnOutputThatIsNoValue) {
  Builder b;
  b.Output("logits", Value{});
  EXPECT_THAT(b.status().message(), HasSubstr("output \"logits\": is no value"));
}

TEST(Builder, CountsVersionsOfAState) {
  Builder b;
  const auto scope = b.Site("s");
  const Value x = b.Input("x", DType::kF32, {kT, Const(4)});
  const Value s0 = b.State("ring", DType::kF32, 8, 4);
  const Value s1 = b.Op(kPush, {x, s0}, {})[0];
  const Value s2 = b.Op(kPush, {x, s1}, {})[0];
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ((*graph)[s1].version, 1);
  EXPECT_EQ((*graph)[s2].version, 2);
  EXPECT_EQ((*graph)[s2].state, 0);
  EXPECT_EQ(graph->states[0].bytes_per_slot(), 8 * 4 * 4);
}

TEST(Builder, LabelsEndWithTheirScope) {
  Builder b;
  const Value x = b.Input("x", DType::kF32, {kT, Const(4)});
  const auto outer = b.Site("model");
  {
    const auto inner = b.Site(0, "ffn");
    b.Op(kReverse, {x}, {});
  }
  b.Op(kReverse, {x}, {});
  const Result<Graph> graph = std::move(b).Finish();
  ASSERT_TRUE(graph.ok());
  EXPECT_EQ(graph->nodes[0].labels.site, "ffn");
  EXPECT_EQ(graph->nodes[1].labels.site, "model");
}

TEST(Graph, InsertsAndErasesNodesAmongOthers) {
  Builder b;
  const auto scope = b.Site("s");
  const Value x = b.Input("x", DType::kF32, {kT, Const(4)});
  const Value y = b.Op(kReverse, {x}, {})[0];
  const Value z = b.Op(kAxpy, {y, y}, {{"by", 2.0}})[0];
  b.Output("z", z);
  Graph g = *std::move(b).Finish();
  EXPECT_THAT(g.Users(y), ElementsAre(Use{1, 0}, Use{1, 1}));

  // y is replaced by the reverse of a second node.
  const std::vector<Value> w = g.Insert(1, g.nodes[0], {g[y].type});
  EXPECT_EQ(g[w[0]].producer, 1);
  EXPECT_EQ(g[z].producer, 2);
  g.ReplaceUses(y, w[0]);
  EXPECT_TRUE(g.Users(y).empty());
  EXPECT_THAT(g.Users(w[0]), ElementsAre(Use{2, 0}, Use{2, 1}));
  g.Erase(0);
  EXPECT_EQ(g[y].producer, -1);
  EXPECT_EQ(g[w[0]].producer, 0);
  EXPECT_EQ(g[z].producer, 1);
}

}  // namespace
}  // namespace birkhoff::graph
