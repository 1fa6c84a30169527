#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/files.h"
#include "models/checkpoint_source.h"
#include "models/deepseek_v3/absorbed.h"
#include "models/deepseek_v3/build.h"
#include "models/deepseek_v3/config.h"
#include "models/deepseek_v3/weights.h"
#include "models/memory_source.h"

namespace birkhoff::models::deepseek_v3 {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kTinyV3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-v3";

Result<Config> Parse(const Json& json) { return ParseConfig(json.dump(), "config.json"); }

// The tiny model's config under a JSON merge patch; null removes a field.
Result<Config> ParsePatched(const char* patch) {
  Json json = Json::parse(*ReadFile(kTinyV3 + "/config.json", 1 << 20));
  json.merge_patch(Json::parse(patch));
  return Parse(json);
}

Config TinyV3() { return *ParsePatched("{}"); }

MemorySource TinySource() {
  auto checkpoint = io::Checkpoint::Open(kTinyV3);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  return MemorySource(CheckpointSource(std::move(*checkpoint)));
}

TEST(DeepSeekV3Config, ReadsTheTinyModel) {
  const auto c = ParsePatched("{}");
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_EQ(c->vocab, 8192);
  EXPECT_EQ(c->hidden, 128);
  EXPECT_EQ(c->layers, 4);
  EXPECT_EQ(c->max_positions, 16384);
  EXPECT_EQ(c->heads, 4);
  EXPECT_EQ(c->q_lora, 192);
  EXPECT_EQ(c->kv_lora, 128);
  EXPECT_EQ(c->nope_dim, 64);
  EXPECT_EQ(c->rope_dim, 32);
  EXPECT_EQ(c->v_dim, 64);
  EXPECT_EQ(c->dense_layers, 1);
  EXPECT_EQ(c->dense_width, 256);
  EXPECT_EQ(c->experts, 16);
  EXPECT_EQ(c->experts_per_token, 4);
  EXPECT_EQ(c->expert_width, 64);
  EXPECT_EQ(c->shared_width, 64);
  EXPECT_EQ(c->groups, 4);
  EXPECT_EQ(c->top_groups, 2);
  EXPECT_EQ(c->routed_scale, 2.5f);
  EXPECT_EQ(c->rms_eps, 1e-6f);
  EXPECT_EQ(c->rope.theta, 10000);
  ASSERT_TRUE(c->rope.yarn.has_value());
  EXPECT_EQ(c->rope.yarn->factor, 4);
  EXPECT_EQ(c->rope.yarn->original_positions, 4096);
  EXPECT_EQ(c->bos, 0);
  EXPECT_THAT(c->eos, ElementsAre(1));
}

// The temperature squared over the root of 192 channels; values of the published configs.
TEST(DeepSeekV3Config, ScalesScoresAsTheReleases) {
  const auto scale = [](const char* patch) {
    Json json = Json::parse(patch);
    json["qk_nope_head_dim"] = 128;
    json["qk_rope_head_dim"] = 64;
    const auto c = ParsePatched(json.dump().c_str());
    EXPECT_TRUE(c.ok()) << c.status().ToString();
    return c.ok() ? c->attention_scale : 0;
  };
  EXPECT_NEAR(scale(R"({"rope_scaling": {"factor": 40}})"), 0.135234, 5e-7);
  EXPECT_NEAR(scale(R"({"model_type": "kimi_k2", "rope_scaling": {"factor": 32}})"), 0.130861,
              5e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": {"factor": 64}})"), 0.144680, 5e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": null, "rope_parameters": {"factor": 40}})"), 0.135234,
              5e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": {"rope_type": "default"}})"), 0.072169, 5e-7);
}

TEST(DeepSeekV3Config, ReadsTheSpellingOfTheReleases) {
  const auto c = ParsePatched(R"({"rope_parameters": null, "model_type": "kimi_k2", "n_group": 1,
      "topk_group": 1, "rope_theta": 50000.0, "first_k_dense_replace": 0, "intermediate_size": null,
      "rope_scaling": {"factor": 32, "beta_fast": 1}, "max_position_embeddings": null,
      "n_shared_experts": 2, "eos_token_id": [1, 7],
      "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
                              "activation_scheme": "dynamic", "weight_block_size": [128, 128]}})");
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_EQ(c->rope.theta, 50000);
  EXPECT_EQ(c->rope.yarn->factor, 32);
  EXPECT_EQ(c->rope.yarn->beta_fast, 1);
  EXPECT_EQ(c->max_positions, 131072);  // as far as YaRN reaches
  EXPECT_EQ(c->shared_width, 128);
  EXPECT_EQ(c->groups, 1);
  EXPECT_EQ(c->dense_layers, 0);
  EXPECT_THAT(c->eos, ElementsAre(1, 7));
  EXPECT_EQ(c->quantisation.block, 128);
  EXPECT_FALSE(c->quantisation.token_activations);
}

struct Change {
  const char* patch = "";
  const char* message = "";
};

TEST(DeepSeekV3Config, SaysWhatItHasNoCodeFor) {
  const Change cases[] = {
      {R"({"model_type": "deepseek_v2"})",
       R"('model_type' is "deepseek_v2", supported: "deepseek_v3", "kimi_k2")"},
      {R"({"attention_bias": true})", "'attention_bias' is true, only false"},
      {R"({"q_lora_rank": null})",
       "'q_lora_rank' is null: a query that is projected in one step is not supported"},
      {R"({"scoring_func": "softmax"})", R"('scoring_func' is "softmax", only "sigmoid")"},
      {R"({"topk_method": "greedy"})", R"('topk_method' is "greedy", only "noaux_tc")"},
      {R"({"norm_topk_prob": false})", "'norm_topk_prob' is false, only true"},
      {R"({"hidden_act": "gelu"})", R"('hidden_act' is "gelu", only "silu")"},
      {R"({"tie_word_embeddings": true})", "'tie_word_embeddings' is true, only false"},
      {R"({"rope_interleave": false})", "'rope_interleave' is false, only true"},
      {R"({"num_key_value_heads": 2})", "'num_key_value_heads' is 2, only 4"},
      {R"({"moe_layer_freq": 2})", "'moe_layer_freq' is 2, only 1"},
      {R"({"rope_scaling": {"rope_type": "linear"}})", R"('rope_type' is "linear", only "yarn")"},
      {R"({"rope_scaling": {"mscale": 0.5}})",
       "'mscale' and 'mscale_all_dim' scale cosine and sine by 0.939"},
      {R"({"rope_scaling": {"mscale_all_dim": null}})", "scale cosine and sine by 1.13863"},
      {R"({"rope_scaling": {"mscale": null}})", "scale cosine and sine by 1.13863"},
      {R"({"quantization_config": {"quant_method": "gptq"}})",
       R"('quant_method' is "gptq", supported: "fp8", "compressed-tensors")"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors",
                                   "format": "pack-quantized"}})",
       R"('format' is "pack-quantized", only "float-quantized")"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kUnsupported) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(DeepSeekV3Config, RefusesValuesOutOfRange) {
  const Change cases[] = {
      {R"({"hidden_size": null})", "config.json: 'hidden_size' is missing"},
      {R"({"kv_lora_rank": 0})", "'kv_lora_rank' is 0, expected an integer in [1, 1048576]"},
      {R"({"qk_rope_head_dim": 31})", "'qk_rope_head_dim' is 31, expected an even number"},
      {R"({"v_head_dim": -1})", "'v_head_dim' is -1"},
      {R"({"first_k_dense_replace": 5})",
       "'first_k_dense_replace' is 5, expected an integer in [0, 4]"},
      {R"({"intermediate_size": null})", "'intermediate_size' is missing"},
      {R"({"n_shared_experts": 0})", "'n_shared_experts' is 0"},
      {R"({"n_group": null})", "'n_group' is missing"},
      {R"({"topk_group": null})", "'topk_group' is missing"},
      {R"({"n_group": 3})", "'n_group' is 3, expected 1 or equal groups"},
      {R"({"n_group": 16, "topk_group": 16})", "'n_group' is 16, expected 1 or equal groups"},
      {R"({"topk_group": 5})", "'topk_group' is 5, expected an integer in [1, 4]"},
      {R"({"num_experts_per_tok": 9})",
       "'num_experts_per_tok' is 9, expected at most the 8 experts of 'topk_group' = 2 groups"},
      {R"({"rope_theta": null, "rope_parameters": {"rope_theta": null}})",
       "'rope_theta' is missing"},
      {R"({"rope_scaling": {"factor": null}})", "rope_scaling: 'factor' is missing"},
      {R"({"rms_norm_eps": 2})", "'rms_norm_eps' is 2"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(DeepSeekV3Weights, LoadsTheTinyModel) {
  const MemorySource source = TinySource();
  const auto w = LoadWeights(TinyV3(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_THAT(w->unused, IsEmpty());
  EXPECT_THAT(w->notes, IsEmpty());
  ASSERT_EQ(w->layers.size(), 4u);
  EXPECT_TRUE(w->layers[0].dense.has_value());
  EXPECT_FALSE(w->layers[0].moe.has_value());
  ASSERT_TRUE(w->layers[1].moe.has_value());
  EXPECT_EQ(w->layers[1].moe->experts.w1.size(), 16u);
  EXPECT_EQ(w->layers[1].moe->experts.name, "model.layers.1.mlp.experts");
  EXPECT_EQ(w->layers[3].attn.kv_b.name, "model.layers.3.self_attn.kv_b_proj");
  EXPECT_EQ(w->layers[3].attn.kv_b.m.rows, 512);
  EXPECT_EQ(w->head.m.data, source.Find("lm_head.weight")->data) << "a matrix is not copied";
}

TEST(DeepSeekV3Weights, LeavesOutTheMtpLayer) {
  MemorySource source = TinySource();
  const auto extra = MemorySource::Of(DType::kF32, {1}, std::vector<float>{1});
  for (const char* name : {"model.layers.4.eh_proj.weight", "model.layers.4.enorm.weight",
                           "model.layers.0.self_attn.extra"}) {
    source.tensors[name] = extra;
  }
  const auto w = LoadWeights(TinyV3(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_THAT(w->notes,
              ElementsAre("2 tensors of layers from 4 on ignored: the config has 4 layers"));
  EXPECT_THAT(w->unused, ElementsAre("model.layers.0.self_attn.extra"));
}

TEST(DeepSeekV3Weights, NamesAMissingTensor) {
  for (const char* name :
       {"model.norm.weight", "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.0.mlp.up_proj.weight", "model.layers.2.mlp.experts.15.down_proj.weight"}) {
    MemorySource source = TinySource();
    source.tensors.erase(name);
    const auto w = LoadWeights(TinyV3(), source);
    EXPECT_EQ(w.status().code(), StatusCode::kNotFound);
    EXPECT_THAT(w.status().message(), HasSubstr(std::string("'") + name + "' is missing"));
  }
}

// Experts in one tensor, as a Hugging Face model holds them.
TEST(DeepSeekV3Weights, TakesFusedExperts) {
  MemorySource source = TinySource();
  const std::string at = "model.layers.1.mlp.experts.";
  MemorySource::Tensor gate_up = {DType::kBF16, {16, 128, 128}};
  MemorySource::Tensor down = {DType::kBF16, {16, 128, 64}};
  for (int e = 0; e < 16; ++e) {
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      const auto node = source.tensors.extract(at + std::to_string(e) + "." + part + ".weight");
      auto& bytes = std::string(part) == "down_proj" ? down.bytes : gate_up.bytes;
      bytes.insert(bytes.end(), node.mapped().bytes.begin(), node.mapped().bytes.end());
    }
  }
  source.tensors[at + "gate_up_proj"] = gate_up;
  source.tensors[at + "down_proj"] = down;
  const MemorySource separate = TinySource();
  const auto fused = LoadWeights(TinyV3(), source);
  const auto expected = LoadWeights(TinyV3(), separate);
  ASSERT_TRUE(fused.ok()) << fused.status().ToString();
  for (const auto part : {&ExpertParams::w1, &ExpertParams::w3, &ExpertParams::w2}) {
    const WeightMatrix& a = (fused->layers[1].moe->experts.*part)[9];
    const WeightMatrix& b = (expected->layers[1].moe->experts.*part)[9];
    ASSERT_EQ(a.bytes(), b.bytes());
    EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<std::size_t>(a.bytes())), 0);
  }
}

TEST(DeepSeekV3Build, WritesAnyStage) {
  const MemorySource source = TinySource();
  const auto w = LoadWeights(TinyV3(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  const auto build = [&](std::int64_t first, std::int64_t end) {
    return Build(TinyV3(), *w, {.context = 64, .first_layer = first, .end_layer = end});
  };
  for (const auto& [first, end] : {std::pair{0, 4}, {0, 2}, {2, 4}, {1, 3}, {2, 2}, {4, 4}}) {
    const auto model = build(first, end);
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    EXPECT_EQ(model->trunk.FindInput("streams") >= 0, first > 0);
    EXPECT_EQ(model->trunk.FindOutput("streams") >= 0, end < 4);
    EXPECT_EQ(model->trunk.FindOutput("logits") >= 0, end == 4);
    EXPECT_EQ(model->trunk.states.size(), static_cast<std::size_t>(end - first));
    EXPECT_EQ(model->trunk_layers.size(), static_cast<std::size_t>(end - first) + 1);
  }
  EXPECT_THAT(build(1, 5).status().message(),
              HasSubstr("stage: expected layers within [0, 4), got [1, 5)"));
}

// Rows of one FP8 scale hold keys and values of a head: only the expanded form can be built.
TEST(DeepSeekV3Build, ExpandsWhatCannotBeAbsorbed) {
  MemorySource source = TinySource();
  const std::string name = "model.layers.2.self_attn.kv_b_proj.weight";
  source.tensors[name] =
      MemorySource::Of(DType::kF8E4M3, {512, 128}, std::vector<std::uint8_t>(512 * 128, 0x38));
  source.tensors[name + "_scale_inv"] =
      MemorySource::Of(DType::kF32, {4, 1}, std::vector<float>(4, 1));
  const auto w = LoadWeights(TinyV3(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  const auto build = [&](MlaForm form, std::int64_t end) {
    return Build(TinyV3(), *w, {.context = 64, .end_layer = end, .mla = form});
  };
  const auto expanded = build(MlaForm::kAuto, 4);
  ASSERT_TRUE(expanded.ok()) << expanded.status().ToString();
  EXPECT_GE(expanded->trunk.FindState("model.layers.0.self_attn.values"), 0);
  EXPECT_THAT(expanded->notes,
              ElementsAre(HasSubstr("640 channels a layer instead of 160: "
                                    "model.layers.2.self_attn.kv_b_proj: absorbed")));
  EXPECT_EQ(build(MlaForm::kAbsorbed, 4).status().code(), StatusCode::kUnsupported);

  const auto stage = build(MlaForm::kAuto, 2);  // without that layer
  ASSERT_TRUE(stage.ok()) << stage.status().ToString();
  EXPECT_GE(stage->trunk.FindState("model.layers.0.self_attn.latent"), 0);
  EXPECT_THAT(stage->notes, IsEmpty());
}

AttentionParams Fp8Attention(const Config& c, std::int32_t block) {
  static const std::byte kData[1 << 16] = {};
  AttentionParams p;
  p.kv_b = {"kv_b_proj",
            {.data = kData,
             .scale = kData,
             .format = WeightFormat::kFp8Block,
             .scale_type = DType::kF32,
             .rows = c.heads * (c.nope_dim + c.v_dim),
             .cols = c.kv_lora,
             .block_rows = block,
             .block_cols = block}};
  return p;
}

TEST(CutHeads, TakesRowsOfTheProjection) {
  const Config c = TinyV3();
  const AttentionParams p = Fp8Attention(c, 32);
  const auto heads = CutHeads(c, p);
  ASSERT_TRUE(heads.ok()) << heads.status().ToString();
  ASSERT_EQ(heads->uk.size(), 4u);
  const auto offset = [](const void* part, const void* whole) {
    return static_cast<const std::byte*>(part) - static_cast<const std::byte*>(whole);
  };
  // Head 2 begins at row 256, its values at row 320: 128 bytes a row, 4 scales of 4 bytes a block.
  EXPECT_EQ(heads->uk[2].rows, 64);
  EXPECT_EQ(heads->uk[2].cols, 128);
  EXPECT_EQ(offset(heads->uk[2].data, p.kv_b.m.data), 256 * 128);
  EXPECT_EQ(offset(heads->uk[2].scale, p.kv_b.m.scale), 256 / 32 * 16);
  EXPECT_EQ(offset(heads->uv[2].data, p.kv_b.m.data), 320 * 128);
  EXPECT_EQ(offset(heads->uv[2].scale, p.kv_b.m.scale), 320 / 32 * 16);
}

TEST(CutHeads, RefusesAScaleOverABorder) {
  const Config c = TinyV3();
  const auto heads = CutHeads(c, Fp8Attention(c, 128));
  EXPECT_EQ(heads.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(heads.status().message(),
              HasSubstr("kv_b_proj: absorbed latent attention takes rows from 64 on, which is "
                        "inside a block of 128 rows with one scale"));
}

}  // namespace
}  // namespace birkhoff::models::deepseek_v3
