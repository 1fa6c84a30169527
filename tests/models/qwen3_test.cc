#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"
#include "models/checkpoint_source.h"
#include "models/memory_source.h"
#include "models/qwen3/build.h"
#include "models/qwen3/config.h"
#include "models/qwen3/weights.h"

namespace birkhoff::models::qwen3 {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kTinyQwen3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-qwen3-fp8";

// The tiny model's config under a JSON merge patch; null removes a field.
Result<Config> ParsePatched(const char* patch) {
  Json json = Json::parse(*ReadFile(kTinyQwen3 + "/config.json", 1 << 20));
  json.merge_patch(Json::parse(patch));
  return ParseConfig(json.dump(), "config.json");
}

Config Tiny() { return *ParsePatched("{}"); }

MemorySource TinySource() {
  auto checkpoint = io::Checkpoint::Open(kTinyQwen3);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  return MemorySource(CheckpointSource(std::move(*checkpoint)));
}

TEST(Qwen3Config, ReadsTheTinyModel) {
  const auto c = ParsePatched("{}");
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_EQ(c->vocab, 8192);
  EXPECT_EQ(c->hidden, 128);
  EXPECT_EQ(c->layers, 4);
  EXPECT_EQ(c->max_positions, 8192);
  EXPECT_EQ(c->heads, 4);
  EXPECT_EQ(c->kv_heads, 2);
  EXPECT_EQ(c->head_dim, 64);
  EXPECT_EQ(c->width, 384);
  EXPECT_EQ(c->rms_eps, 1e-6f);
  EXPECT_EQ(c->rope.theta, 1e6);
  EXPECT_FALSE(c->rope.yarn.has_value());
  EXPECT_EQ(c->attention_scale, 0.125);
  EXPECT_FALSE(c->tied);
  EXPECT_TRUE(c->quantisation.token_activations);
  EXPECT_EQ(c->bos, 0);
  EXPECT_THAT(c->eos, ElementsAre(1));
}

TEST(Qwen3Config, ReadsTheSpellingOfTheReleases) {
  const auto c = ParsePatched(R"({"rope_parameters": null, "layer_types": null,
      "tie_word_embeddings": true,
      "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
                       "original_max_position_embeddings": 32768},
      "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                              "weight_block_size": [128, 128], "config_groups": null,
                              "format": null, "ignore": null}})");
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_TRUE(c->tied);
  EXPECT_EQ(c->rope.theta, 1e6);
  ASSERT_TRUE(c->rope.yarn.has_value());
  // Cosine and sine times 0.1 ln 4 + 1, in query and key.
  const double factor = 0.1 * std::log(4) + 1;
  EXPECT_DOUBLE_EQ(c->attention_scale, factor * factor / 8);
  EXPECT_FALSE(c->quantisation.token_activations);
}

// What Hugging Face makes of these dictionaries.
TEST(Qwen3Config, TakesScalingAsHuggingFace) {
  const double temperature = 0.1 * std::log(4) + 1;
  const struct {
    const char* parameters = "";
    const char* scaling = "";
    double rotation_scale = 1;
    double theta = 1e6;
  } cases[] = {
      {R"({"rope_type": "default", "rope_theta": 5e5})", "null", 1, 5e5},
      {R"({"rope_type": null, "rope_theta": 5e5})", "{}", 1, 5e5},
      {R"({"rope_type": "default", "rope_theta": 5e5})", R"({"type": "yarn"})", temperature},
      {R"({"rope_type": "default"})", R"({"type": "yarn", "rope_theta": 5e5})", temperature, 5e5},
      {"null", R"({"type": "yarn", "mscale": 0.5})", temperature},
      {"null", R"({"type": "yarn", "mscale_all_dim": 0.5})", temperature},
      {"null", R"({"type": "yarn", "mscale": 0, "mscale_all_dim": 0.5})", temperature},
      {"null", R"({"type": "yarn", "mscale": 1, "mscale_all_dim": 0.5})",
       temperature / (0.05 * std::log(4) + 1)},
      {"null", R"({"type": "yarn", "mscale": 1, "attention_factor": 1.25})", 1.25},
  };
  for (const auto& c : cases) {
    Json patch = {{"rope_parameters", Json::parse(c.parameters)},
                  {"rope_scaling", Json::parse(c.scaling)}};
    if (patch["rope_scaling"].contains("type"))
      patch["rope_scaling"].update({{"factor", 4}, {"original_max_position_embeddings", 2048}});
    const auto config = ParsePatched(patch.dump().c_str());
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_DOUBLE_EQ(config->rope.rotation_scale, c.rotation_scale) << patch;
    EXPECT_EQ(config->rope.theta, c.theta) << patch;
    EXPECT_EQ(config->rope.yarn.has_value(), c.rotation_scale != 1) << patch;
  }
}

struct Change {
  const char* patch = "";
  const char* message = "";
};

TEST(Qwen3Config, SaysWhatItHasNoCodeFor) {
  const Change cases[] = {
      {R"({"model_type": "qwen3_moe"})", R"('model_type' is "qwen3_moe", supported: "qwen3")"},
      {R"({"attention_bias": true})", "'attention_bias' is true, only false"},
      {R"({"hidden_act": "gelu"})", R"('hidden_act' is "gelu", only "silu")"},
      {R"({"use_sliding_window": true})", "'use_sliding_window' is true, only false"},
      {R"({"layer_types": ["sliding_attention"]})", "'layer_types' names 'sliding_attention'"},
      {R"({"rope_parameters": {"rope_type": "dynamic"}})",
       R"('rope_type' is "dynamic", only "yarn")"},
      {R"({"quantization_config": {"quant_method": "awq"}})", R"('quant_method' is "awq")"},
      {R"({"quantization_config": {"format": "int-quantized"}})",
       R"('format' is "int-quantized", only "float-quantized")"},
      {R"({"quantization_config": {"config_groups": {"group_0": {"targets": ["MoE"]}}}})",
       R"(group_0: 'targets' is ["MoE"], only ["Linear"])"},
      {R"({"quantization_config": {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}}})",
       "group_0: weights: 'num_bits' is 4, only 8"},
      {R"({"quantization_config": {"config_groups": {"group_0":
           {"weights": {"strategy": "tensor"}}}}})",
       R"('strategy' is "tensor", only "channel")"},
      {R"({"quantization_config": {"config_groups": {"group_0":
           {"weights": {"strategy": null}}}}})",
       R"(group_0: weights: 'strategy' is missing, only "channel" is supported)"},
      {R"({"quantization_config": {"config_groups": {"group_0":
           {"input_activations": {"strategy": null}}}}})",
       R"(group_0: input_activations: 'strategy' is missing, only "token" is supported)"},
      {R"({"quantization_config": {"transform_config": {"config_groups": {}}}})",
       "'transform_config' is {\"config_groups\":{}}, only an empty one is supported"},
      {R"({"quantization_config": {"sparsity_config": {"format": "sparse-24-bitmask"}}})",
       "'sparsity_config' is {\"format\":\"sparse-24-bitmask\"}, only an empty one"},
      {R"({"quantization_config": {"config_groups": {"group_0":
           {"input_activations": {"dynamic": false}}}}})",
       "input_activations: 'dynamic' is false, only true"},
      {R"({"quantization_config": {"config_groups": {"group_1": {}}}})",
       "expected one group of layers"},
      {R"({"quantization_config": {"kv_cache_scheme": {"num_bits": 8}}})", "'kv_cache_scheme' is"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kUnsupported) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(Qwen3Config, RefusesValuesOutOfRange) {
  const Change cases[] = {
      {R"({"hidden_size": 0})", "'hidden_size' is 0, expected an integer in [1, 1048576]"},
      {R"({"head_dim": null})", "'head_dim' is missing"},
      {R"({"head_dim": 63})", "'head_dim' is 63, expected an even number"},
      {R"({"num_key_value_heads": 3})",
       "'num_attention_heads' is 4, expected a multiple of 'num_key_value_heads' = 3"},
      {R"({"num_key_value_heads": 5})",
       "'num_key_value_heads' is 5, expected an integer in [1, 4]"},
      {R"({"rope_scaling": {"factor": 4, "original_max_position_embeddings": 2048}})",
       "rope_scaling: 'rope_type' is missing"},
      {R"({"rope_parameters": {"rope_type": null, "factor": 4}})",
       "rope_parameters: 'rope_type' is missing"},
      {R"({"tie_word_embeddings": 1})", "'tie_word_embeddings' is 1, expected true or false"},
      {R"({"quantization_config": {"ignore": ["lm_head", 3]}})", "'ignore' is"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(Qwen3Weights, LoadsTheTinyModel) {
  const MemorySource source = TinySource();
  const auto w = LoadWeights(Tiny(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_THAT(w->unused, IsEmpty());
  const WeightMatrix& q = w->layers[3].q.m;
  EXPECT_EQ(q.format, WeightFormat::kFp8Block);
  EXPECT_EQ(q.scale_type, DType::kF32);
  EXPECT_EQ(q.block_rows, 1);
  EXPECT_EQ(q.block_cols, 128);
  EXPECT_EQ(w->head.m.format, WeightFormat::kBF16);
}

TEST(Qwen3Weights, WidensScalesInBF16) {
  MemorySource source = TinySource();
  const std::string name = "model.layers.0.mlp.down_proj.weight_scale";
  source.tensors[name] =
      MemorySource::Of(DType::kBF16, {128, 1}, std::vector<std::uint16_t>(128, 0x3fc0));  // 1.5
  const auto w = LoadWeights(Tiny(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  const WeightMatrix& down = w->layers[0].mlp.w2.m;
  EXPECT_EQ(down.scale_type, DType::kF32);
  EXPECT_EQ(static_cast<const float*>(down.scale)[127], 1.5f);
}

TEST(Qwen3Weights, SharesTheEmbeddingWhereTheConfigSaysSo) {
  MemorySource source = TinySource();
  source.tensors.erase("lm_head.weight");
  EXPECT_THAT(LoadWeights(Tiny(), source).status().message(),
              HasSubstr("tensor 'lm_head.weight' is missing"));
  const auto w = LoadWeights(*ParsePatched(R"({"tie_word_embeddings": true})"), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_EQ(w->head.m.data, w->embed.m.data);
}

// The matrix that the logits come from, in the whole model and in a stage without the embedding.
TEST(Qwen3Build, TakesTheHeadFromTheEmbeddingWhereTheyAreTied) {
  MemorySource source = TinySource();
  source.tensors.erase("lm_head.weight");
  const auto config = ParsePatched(R"({"tie_word_embeddings": true})");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  for (const std::int64_t first : {0, 4}) {
    const auto w = LoadWeights(*config, source, {.first_layer = first});
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    const auto model = Build(*config, *w, {.context = 64, .first_layer = first});
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    const graph::Graph& g = model->trunk;
    const auto logits = g.outputs[static_cast<std::size_t>(g.FindOutput("logits"))].value;
    const graph::Node& head = g.nodes[static_cast<std::size_t>(g[logits].producer)];
    EXPECT_EQ(g[head.in[1]].matrices->data, source.Find("model.embed_tokens.weight")->data);
    const std::int64_t table = w->embed.m.bytes();
    if (first > 0) {
      EXPECT_EQ(model->size.bytes, table + 4 * config->hidden);  // with the norm
    }
  }
}

}  // namespace
}  // namespace birkhoff::models::qwen3
