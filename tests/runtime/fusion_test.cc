// Fusion inside a whole model: it changes no bit on a CPU, finds what the model has, and says why
// where it does not.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "graph/order.h"
#include "graph/passes/recipes/recipes.h"
#include "graph/print.h"
#include "graph/verify.h"
#include "ops/defs.h"
#include "runtime/loaded_model.h"
#include "runtime/random_engine.h"
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

using graph::Graph;
using graph::Node;
using graph::RecipeReport;
using graph::Value;
using testing::HasSubstr;

const std::string kTinyV3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-v3";
const std::string kTinyQwen3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-qwen3-fp8";

class Levels : public testing::TestWithParam<Precision> {};

// The other families, which have no drafts.
TEST_P(Levels, GiveTheSameBitsInOtherFamilies) {
  for (const std::string& folder : {kTinyV3, kTinyQwen3}) {
    const std::vector<std::int32_t> ids = GoldenFile(folder).Ids(5);
    std::vector<float> first;
    for (const FusionLevel level : {FusionLevel::kO0, FusionLevel::kO1, FusionLevel::kO2}) {
      auto engine = Engine::Load({.model = folder,
                                  .precision = GetParam(),
                                  .context = 1024,
                                  .max_step_tokens = 64,
                                  .fusion = {.level = level, .strict = FusionStrict::kError}});
      ASSERT_TRUE(engine.ok()) << engine.status().ToString();
      auto score = (*engine)->Score(ids, {.logits_last = true});
      ASSERT_TRUE(score.ok()) << score.status().ToString();
      if (first.empty()) first = score->logits_last;
      EXPECT_EQ(score->logits_last, first);
    }
  }
}

TEST_P(Levels, GiveTheSameBits) {
  const std::vector<std::int32_t> ids = Golden().Ids(9);
  std::optional<ScoreResult> first;
  for (const FusionLevel level :
       {FusionLevel::kO0, FusionLevel::kO1, FusionLevel::kO2, FusionLevel::kO3}) {
    const auto engine = LoadTinyV4({.precision = GetParam(),
                                    .max_step_tokens = 128,
                                    .fusion = {.level = level, .strict = FusionStrict::kError}});
    ASSERT_NE(engine, nullptr);
    auto score = engine->Score(ids, {.logits_last = true, .draft = true});
    ASSERT_TRUE(score.ok()) << score.status().ToString();
    if (!first) first = *score;
    EXPECT_EQ(score->logits_last, first->logits_last);
    EXPECT_EQ(score->token_logprobs, first->token_logprobs);
    EXPECT_EQ(score->draft_logits_last, first->draft_logits_last);
    EXPECT_EQ(score->draft_top1, first->draft_top1);
  }
}

// Without drafts the rows that need logits are taken before the last layer's work.
TEST_P(Levels, GiveTheSameBitsWithoutDrafts) {
  const std::vector<std::int32_t> ids = Golden().Ids(8);
  std::vector<float> first;
  for (const bool draft : {true, false}) {
    const auto engine = LoadTinyV4({.precision = GetParam(), .draft = draft});
    ASSERT_NE(engine, nullptr);
    auto session = engine->NewSession();
    ASSERT_TRUE(session.ok());
    const auto logits = engine->Prefill(*session, ids);
    ASSERT_TRUE(logits.ok());
    if (first.empty()) first.assign(logits->begin(), logits->end());
    EXPECT_TRUE(std::equal(first.begin(), first.end(), logits->begin(), logits->end()));
  }
}

INSTANTIATE_TEST_SUITE_P(, Levels, testing::Values(Precision::kBF16, Precision::kF32),
                         [](const auto& param) {
                           return param.param == Precision::kF32 ? "F32" : "BF16";
                         });

runtime::LoadedModel Load(const std::string& folder, const runtime::GraphOptions& options) {
  auto model = runtime::LoadModel(folder, options, {});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? *std::move(model) : runtime::LoadedModel();
}

const RecipeReport& Of(const graph::FusionReport& report, const std::string& name) {
  return *std::find_if(report.recipes.begin(), report.recipes.end(),
                       [&](const RecipeReport& r) { return r.name == name; });
}

TEST(Fusion, FindsWhatTinyV4Has) {
  const auto model = Load(kTinyV4, {.fusion = {.strict = FusionStrict::kError}});
  const graph::FusionReport& trunk = model.fusion.trunk;
  EXPECT_EQ(Of(trunk, "mla_dual_rms").matched, 6);   // one a layer
  EXPECT_EQ(Of(trunk, "norm_rope").matched, 6);      // one a layer
  EXPECT_EQ(Of(trunk, "mhc_boundary").matched, 11);  // 2 layers - 1
  EXPECT_EQ(Of(trunk, "mhc_boundary_norm").matched, 11);
  EXPECT_EQ(Of(trunk, "mhc_first").matched, 1);
  EXPECT_EQ(Of(trunk, "mhc_tail").matched, 0);  // the draft layer reads the streams of all tokens
  for (const graph::LayerMatches& l : Of(trunk, "mla_dual_rms").layers)
    EXPECT_EQ(l.matched, l.layer < 0 ? 0 : 1) << l.layer;
  ASSERT_TRUE(model.fusion.draft.has_value());
  EXPECT_EQ(Of(*model.fusion.draft, "mhc_boundary").matched, 1);
  EXPECT_EQ(Of(*model.fusion.draft, "mhc_tail").matched, 1);
  EXPECT_EQ(Of(*model.fusion.draft, "mla_dual_rms").matched, 1);
  const auto alone = Load(kTinyV4, {.draft = false, .fusion = {.strict = FusionStrict::kError}});
  EXPECT_EQ(Of(alone.fusion.trunk, "mhc_tail").matched, 1);
}

TEST(Fusion, FindsWhatTheOthersHave) {
  const auto v3 = Load(kTinyV3, {.fusion = {.strict = FusionStrict::kError}});
  EXPECT_EQ(Of(v3.fusion.trunk, "mla_dual_rms").matched, 4);
  EXPECT_EQ(Of(v3.fusion.trunk, "rope_write").matched, 4);
  const auto expanded = Load(
      kTinyV3, {.fusion = {.strict = FusionStrict::kError}, .mla = models::MlaForm::kExpanded});
  EXPECT_EQ(Of(expanded.fusion.trunk, "mla_dual_rms").matched, 4);
  const auto qwen3 = Load(kTinyQwen3, {.fusion = {.strict = FusionStrict::kError}});
  EXPECT_EQ(Of(qwen3.fusion.trunk, "norm_rope_write").matched, 4);
  EXPECT_EQ(Of(qwen3.fusion.trunk, "mla_dual_rms").matched, 0);
}

TEST(Fusion, SavesWhatTheFormulasSay) {
  const auto model = Load(kTinyV4, {});
  constexpr std::int64_t kHidden = 256;
  // post 18 H, coefficients 8 H, collapse 10 H against 20 H and h: 11 boundaries. Coefficients in
  // f32: post and comb (80 B) go in either way, pre, post and comb (96 B) come out either way; the
  // collapse read pre (16 B).
  EXPECT_EQ(Of(model.fusion.trunk, "mhc_boundary").saved.per_token, 11 * (16 * kHidden + 16));
  EXPECT_EQ(Of(model.fusion.trunk, "mhc_boundary_norm").saved.per_token, 11 * 4 * kHidden);
}

TEST(Fusion, SwitchesComeThroughTheEngine) {
  const auto misspelt = Engine::Load({.model = kTinyV4, .fusion = {.disable = {"mhc_bondary"}}});
  EXPECT_EQ(misspelt.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(misspelt.status().message(), HasSubstr("no recipe \"mhc_bondary\"; there are "));
  // What builds on a fusion that is off is off, and no shortfall.
  const auto model =
      Load(kTinyV4, {.fusion = {.disable = {"mhc_boundary"}, .strict = FusionStrict::kError}});
  EXPECT_EQ(Of(model.fusion.trunk, "mhc_boundary").off, "disabled");
  EXPECT_EQ(Of(model.fusion.trunk, "mhc_boundary_norm").off, "needs mhc_boundary, which is off");
  EXPECT_EQ(Of(model.fusion.trunk, "fold_quant.mhc").off, "needs mhc_boundary_norm, which is off");
  // The trunk has no place for it, the draft has.
  Load(kTinyV4, {.fusion = {.enable = {"mhc_tail"}, .strict = FusionStrict::kError}});
  const std::string nowhere =
      "fusion: norm_rope_write was asked for and matches nothing in this model";
  const FusionSettings asked = {.enable = {"norm_rope_write"}};
  EXPECT_THAT(Load(kTinyV4, {.fusion = asked}).info.notes, testing::Contains(nowhere));
  const auto strict = Engine::Load(
      {.model = kTinyV4, .fusion = {.enable = asked.enable, .strict = FusionStrict::kError}});
  EXPECT_EQ(strict.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(strict.status().message(), HasSubstr(nowhere));
}

// Its rows are taken of the first streams: no place for a view.
TEST(Fusion, FindsWhatOneLayerHas) {
  nlohmann::json config = nlohmann::json::parse(std::ifstream(kTinyV4 + "/config.json"));
  config["num_hidden_layers"] = 1;
  config["num_nextn_predict_layers"] = 0;
  config["num_hash_layers"] = 0;
  config["compress_ratios"] = {0};
  const std::string path = testing::TempDir() + "one_layer.json";
  std::ofstream(path) << config;
  const auto engine = LoadRandomEngine(path, {.fusion = {.strict = FusionStrict::kError}},
                                       models::deepseek_v4::Quantisation::kBF16);
  EXPECT_TRUE(engine.ok()) << engine.status().ToString();
}

// The canonical graph of tiny-v4, for a test to spoil.
class Spoilt : public testing::Test {
 protected:
  Graph& graph() { return model_.built.trunk; }
  Node& node(int n) { return graph().nodes[static_cast<std::size_t>(n)]; }

  // The n-th node of an op in a layer.
  int Find(const ops::OpDef& op, int layer, std::string_view site, int n = 0) {
    for (std::size_t i = 0; i < graph().nodes.size(); ++i) {
      const Node& node = graph().nodes[i];
      if (node.op != &op || node.labels.layer != layer || node.labels.site != site) continue;
      if (n-- == 0) return static_cast<int>(i);
    }
    ADD_FAILURE() << "no " << op.name;
    return -1;
  }

  std::string Strict() {
    EXPECT_TRUE(graph::Verify(graph()).ok()) << graph::Verify(graph()).message();
    Graph copy = graph();
    return graph::Fuse(copy, graph::AllRecipes(), {.strict = FusionStrict::kError},
                       {.layers = model_.built.trunk_layers})
        .status()
        .message();
  }

  runtime::LoadedModel model_ = Load(kTinyV4, {.fusion = {.level = FusionLevel::kO0}});
};

TEST_F(Spoilt, IsWholeBefore) { EXPECT_EQ(Strict(), ""); }

TEST_F(Spoilt, ByAnotherType) {
  const int norm = Find(ops::kRmsNorm, 2, "ffn");
  node(norm).attributes = {{"eps", node(norm).attributes.Number("eps")},
                           {"out", static_cast<std::int64_t>(DType::kF32)}};
  graph()[node(norm).out[0]].type.dtype = DType::kF32;
  const std::string why = Strict();
  EXPECT_THAT(why, HasSubstr("mhc_boundary_norm matched 10 of 11, in layer 2 1 of 2; deepest miss: "
                             "step 2 of 2, needs a norm that gives BF16 as the streams are, got "
                             "F32 at build.cc:"));
}

TEST_F(Spoilt, ByAReaderOutside) {
  graph().outputs.push_back({"tap", node(Find(ops::kMhcCollapse, 3, "attn")).out[0]});
  const std::string why = Strict();
  EXPECT_THAT(why, HasSubstr("mhc_boundary_norm matched 10 of 11, in layer 3 1 of 2; deepest miss: "
                             "step 2 of 2, interior value %"));
  EXPECT_THAT(why, HasSubstr(" is an output at build.cc:"));
}

// The site of layer 3 that lost its boundary is behind the mix of layer 2.
TEST_F(Spoilt, ByCoefficientsOfOtherStreams) {
  const int coeffs = Find(ops::kMhcCoeffs, 3, "attn");
  const int before = Find(ops::kMhcCoeffs, 2, "ffn");
  node(coeffs).in[0] = node(before).in[0];
  const std::string why = Strict();
  EXPECT_THAT(why, HasSubstr("mhc_boundary matched 10 of 11, in layer 3 1 of 2; deepest miss: step "
                             "2 of 3, wanted mhc_coeffs making %"));
  EXPECT_THAT(why, HasSubstr(", saw mhc_coeffs whose operand 0 is %"));
}

TEST_F(Spoilt, ByASideThatIsRewritten) {
  const int norm = Find(ops::kRmsNorm, 1, "attn", 1);  // behind that of the site: q's
  Node quantised = node(norm);
  quantised.op = &ops::kRmsNormQuantise;
  quantised.attributes = {{"eps", node(norm).attributes.Number("eps")},
                          {"out", node(norm).attributes.Int("out")},
                          {"group", std::int64_t{32}},
                          {"scale", std::int64_t{0}},
                          {"floor", 1e-4}};
  const Value before = node(norm).out[0];
  const auto after = graph().Insert(norm, std::move(quantised));
  ASSERT_TRUE(after.ok()) << after.status().message();
  graph().ReplaceUses(before, (*after)[0]);
  graph().Erase(norm + 1);
  const std::string why = Strict();
  EXPECT_THAT(why, HasSubstr("mla_dual_rms matched 5 of 6, in layer 1 0 of 1; deepest miss: step 3 "
                             "of 4, wanted rms_norm reading %"));
  EXPECT_THAT(why, HasSubstr(", saw rms_norm_quantise"));
}

// v made of q as attention gets it: what norm_rope_write would make depends on itself.
TEST(Fusion, LeavesWhatDependsOnItself) {
  auto model = Load(kTinyQwen3, {.fusion = {.level = FusionLevel::kO0}});
  Graph& g = model.built.trunk;
  const auto find = [&](const ops::OpDef& op, int n) {
    for (std::size_t i = 0; i < g.nodes.size(); ++i) {
      if (g.nodes[i].op == &op && g.nodes[i].labels.layer == 2 && n-- == 0) return i;
    }
    ADD_FAILURE() << "no " << op.name;
    return std::size_t{0};
  };
  const Node attention = g.nodes[find(ops::kGqaAttention, 0)];
  const Value q = attention.in[0];
  const std::size_t write = find(ops::kKvWrite, 1);
  const std::int64_t width = g[g.nodes[write].in[0]].type.shape[1].times;
  // The first heads of q, as wide as v.
  const auto insert = [&](const ops::OpDef& op, Value x, ops::Attributes attributes) {
    Node node = {.op = &op, .in = {x}, .attributes = std::move(attributes)};
    node.labels = attention.labels;
    const auto made = g.Insert(static_cast<int>(g.nodes.size()), std::move(node));
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? (*made)[0] : Value();
  };
  const ops::Extent all[] = {g[q].type.shape[0],
                             ops::Const(g[q].type.shape[1].times * g[q].type.shape[2].times)};
  const Value flat = insert(ops::kReshape, q, ops::ReshapeAttributes(all));
  const Value some = insert(ops::kSlice, flat, {{"begin", std::int64_t{0}}, {"width", width}});
  const Value v = insert(ops::kRmsNorm, some,
                         {{"eps", 1e-6}, {"out", static_cast<std::int64_t>(g[q].type.dtype)}});
  g.nodes[find(ops::kKvWrite, 1)].in[0] = v;
  std::vector<double> keys(g.nodes.size());
  for (std::size_t n = 0; n < keys.size(); ++n) keys[n] = static_cast<double>(n);
  ASSERT_TRUE(graph::SortNodes(g, keys).ok());
  ASSERT_TRUE(graph::Verify(g).ok()) << graph::Verify(g).message();
  const std::string why = graph::Fuse(g, graph::AllRecipes(), {.strict = FusionStrict::kError},
                                      {.layers = model.built.trunk_layers})
                              .status()
                              .message();
  EXPECT_THAT(why,
              HasSubstr("norm_rope_write matched 3 of 4, in layer 2 0 of 1; deepest miss: step "
                        "8 of 8, not convex: %"));
  EXPECT_THAT(why, HasSubstr("depends on what the match makes"));
}

// Recipes with what they found, and the ops that are left.
std::string Outcome(Graph& g, const std::vector<graph::LayerInfo>& layers) {
  const auto report = graph::Fuse(g, graph::AllRecipes(), {}, {.layers = layers});
  if (!report.ok()) return report.status().message();
  std::string text;
  for (const RecipeReport& r : report->recipes) {
    text += r.name;
    for (const graph::LayerMatches& l : r.layers) text += " " + std::to_string(l.matched);
    text += "\n";
  }
  std::map<std::string_view, int> ops;
  for (const Node& node : g.nodes) ++ops[node.op->name];
  for (const auto& [op, count] : ops) text += std::string(op) + " " + std::to_string(count) + "\n";
  return text;
}

// Any legal order of the nodes, other nodes between them, other names: the same fusions.
TEST(Fusion, OrderAndNamesDoNotMatter) {
  const auto model = Load(kTinyV4, {.fusion = {.level = FusionLevel::kO0}});
  Graph plain = model.built.trunk;
  const std::vector<graph::LayerInfo>& layers = model.built.trunk_layers;
  Value table;  // of positions: something that anybody may compute
  for (const Node& node : plain.nodes) {
    if (node.op == &ops::kRopeTable) table = node.out[0];
  }
  constexpr int kOthers = 20;
  const auto with_others = [&](Graph g) {
    for (int i = 0; i < kOthers; ++i) {
      Node other = g.nodes[static_cast<std::size_t>(g[table].producer)];
      const Value v = g.Insert(0, std::move(other), {g[table].type})[0];
      g.outputs.push_back({"other " + std::to_string(i), v});
    }
    return g;
  };
  Graph unshuffled = with_others(plain);
  const std::string expected = Outcome(unshuffled, layers);
  EXPECT_THAT(expected, HasSubstr("mla_dual_rms 0 1 1 1 1 1 1\n"));
  EXPECT_THAT(expected, HasSubstr("rope_table 22\n"));
  for (unsigned seed = 0; seed < 1000; ++seed) {
    std::mt19937 random(seed);
    Graph g = with_others(plain);
    std::vector<double> keys(g.nodes.size());
    for (double& key : keys) key = static_cast<double>(random());
    ASSERT_TRUE(graph::SortNodes(g, keys).ok());
    for (graph::ValueInfo& v : g.values) {
      if (v.origin == graph::Origin::kParameter) v.name = std::to_string(random());
    }
    ASSERT_TRUE(graph::Verify(g).ok()) << seed;
    ASSERT_EQ(Outcome(g, layers), expected) << seed;
    ASSERT_TRUE(graph::Verify(g).ok()) << seed;
  }
}

}  // namespace
}  // namespace birkhoff
