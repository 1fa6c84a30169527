#include "models/deepseek_v4/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Json TinyV4() {
  const auto text =
      ReadFile(std::string(BIRKHOFF_SOURCE_DIR) + "/models/tiny-v4/config.json", 1 << 20);
  return text.ok() ? Json::parse(*text) : Json();
}

Result<Config> Parse(const Json& json) { return ParseConfig(json.dump(), "config.json"); }

TEST(ParseConfig, ReadsTheRelease) {
  const auto c = Parse(TinyV4());
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_EQ(c->vocab, 8192);
  EXPECT_EQ(c->hidden, 256);
  EXPECT_EQ(c->layers, 6);
  EXPECT_EQ(c->mtp_layers, 1);
  EXPECT_EQ(c->max_positions, 65536);
  EXPECT_EQ(c->heads, 8);
  EXPECT_EQ(c->head_dim, 128);
  EXPECT_EQ(c->rope_dim, 32);
  EXPECT_EQ(c->q_lora, 128);
  EXPECT_EQ(c->o_lora, 128);
  EXPECT_EQ(c->o_groups, 2);
  EXPECT_EQ(c->window, 128);
  EXPECT_THAT(c->ratios, ElementsAre(0, 4, 128, 4, 128, 4, 0));
  EXPECT_TRUE(c->HasIndexer(1));
  EXPECT_FALSE(c->HasIndexer(2));
  EXPECT_EQ(c->index_heads, 8);
  EXPECT_EQ(c->index_dim, 64);
  EXPECT_EQ(c->index_topk, 96);
  EXPECT_EQ(c->experts, 16);
  EXPECT_EQ(c->experts_per_token, 4);
  EXPECT_EQ(c->expert_width, 128);
  EXPECT_EQ(c->hash_layers, 2);
  EXPECT_TRUE(c->IsHashRouted(1));
  EXPECT_FALSE(c->IsHashRouted(2));
  EXPECT_EQ(c->routed_scale, 1.5f);
  EXPECT_EQ(c->swiglu_limit, 10.0f);
  EXPECT_EQ(c->hc_mult, 4);
  EXPECT_EQ(c->sinkhorn_iters, 20);
  EXPECT_EQ(c->hc_eps, 1e-6f);
  EXPECT_EQ(c->rms_eps, 1e-6f);
  EXPECT_EQ(c->rope_theta, 10000);
  EXPECT_EQ(c->compress_rope_theta, 160000);
  ASSERT_TRUE(c->yarn.has_value());
  EXPECT_EQ(c->yarn->factor, 16);
  EXPECT_EQ(c->yarn->beta_fast, 32);
  EXPECT_EQ(c->yarn->beta_slow, 1);
  EXPECT_EQ(c->yarn->original_positions, 4096);
  EXPECT_EQ(c->bos, 0);
  EXPECT_THAT(c->eos, ElementsAre(1));
  EXPECT_EQ(c->block_rows, 128);
}

TEST(ParseConfig, ReadsAHuggingFaceResave) {
  Json json = TinyV4();
  for (const char* key : {"compress_ratios", "num_hash_layers", "rope_scaling", "rope_theta",
                          "compress_rope_theta", "qk_rope_head_dim", "quantization_config"}) {
    json.erase(key);
  }
  json["layer_types"] = {
      "sliding_attention",           "compressed_sparse_attention",  "heavily_compressed_attention",
      "compressed_sparse_attention", "heavily_compressed_attention", "compressed_sparse_attention"};
  json["compress_rates"] = {{"compressed_sparse_attention", 4},
                            {"heavily_compressed_attention", 64}};
  json["mlp_layer_types"] = {"hash_moe", "hash_moe", "moe", "moe", "moe", "moe"};
  json["partial_rotary_factor"] = 0.25;
  json["rope_parameters"] = {{"main", {{"rope_type", "default"}, {"rope_theta", 10000.0}}},
                             {"compress",
                              {{"rope_type", "yarn"},
                               {"rope_theta", 160000.0},
                               {"factor", 16.0},
                               {"original_max_position_embeddings", 4096},
                               {"attention_factor", 1.0}}}};
  json["eos_token_id"] = {1, 7};
  const auto c = Parse(json);
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_THAT(c->ratios, ElementsAre(0, 4, 64, 4, 64, 4, 0));
  EXPECT_EQ(c->hash_layers, 2);
  EXPECT_EQ(c->rope_dim, 32);
  EXPECT_EQ(c->rope_theta, 10000);
  EXPECT_EQ(c->compress_rope_theta, 160000);
  ASSERT_TRUE(c->yarn.has_value());
  EXPECT_EQ(c->yarn->original_positions, 4096);
  EXPECT_EQ(c->yarn->beta_fast, 32);
  EXPECT_THAT(c->eos, ElementsAre(1, 7));
}

TEST(ParseConfig, ReadsTheOfficialInferenceConfig) {
  const auto c = ParseConfig(R"({
    "vocab_size": 129280, "dim": 4096, "moe_inter_dim": 2048, "n_layers": 3, "n_hash_layers": 1,
    "n_mtp_layers": 1, "n_heads": 64, "n_routed_experts": 256, "n_shared_experts": 1,
    "n_activated_experts": 6, "score_func": "sqrtsoftplus", "route_scale": 1.5,
    "swiglu_limit": 10.0, "q_lora_rank": 1024, "head_dim": 512, "rope_head_dim": 64,
    "norm_eps": 1e-6, "o_groups": 8, "o_lora_rank": 1024, "window_size": 128,
    "original_seq_len": 65536, "rope_theta": 10000, "rope_factor": 16, "beta_fast": 32,
    "beta_slow": 1, "index_n_heads": 64, "index_head_dim": 128, "index_topk": 512, "hc_mult": 4,
    "hc_sinkhorn_iters": 20, "hc_eps": 1e-6, "compress_rope_theta": 160000,
    "compress_ratios": [0, 4, 128, 0]})",
                             "inference/config.json");
  ASSERT_TRUE(c.ok()) << c.status().ToString();
  EXPECT_EQ(c->hidden, 4096);
  EXPECT_EQ(c->expert_width, 2048);
  EXPECT_EQ(c->hash_layers, 1);
  EXPECT_EQ(c->experts_per_token, 6);
  EXPECT_EQ(c->rope_dim, 64);
  EXPECT_EQ(c->window, 128);
  ASSERT_TRUE(c->yarn.has_value());
  EXPECT_EQ(c->yarn->original_positions, 65536);
  EXPECT_EQ(c->max_positions, 1048576);  // not stated: as far as YaRN reaches
  EXPECT_FALSE(c->bos.has_value());
}

struct Change {
  const char* patch = "";  // a JSON merge patch of the tiny model's config: null removes a field
  const char* message = "";
};

Result<Config> ParsePatched(const char* patch) {
  Json json = TinyV4();
  json.merge_patch(Json::parse(patch));
  return Parse(json);
}

TEST(ParseConfig, TakesWhatTheFormatLeavesOpen) {
  EXPECT_THAT(ParsePatched(R"({"compress_ratios": [0, 4, 128, 4, 128, 4]})")->ratios,
              ElementsAre(0, 4, 128, 4, 128, 4, 0));
  // Draft blocks of a later kind, of which this model reads none.
  EXPECT_THAT(ParsePatched(R"({"compress_ratios": [0, 4, 128, 4, 128, 4, 0, 0, 0],
                               "dspark_block_size": 5})")
                  ->ratios,
              ElementsAre(0, 4, 128, 4, 128, 4, 0));
  EXPECT_FALSE(ParsePatched(R"({"swiglu_limit": null})")->swiglu_limit.has_value());
  EXPECT_FALSE(ParsePatched(R"({"swiglu_limit": 0.0})")->swiglu_limit.has_value());
  EXPECT_FALSE(ParsePatched(R"({"rope_scaling": null})")->yarn.has_value());
  // Without a longest context of its own, a config has YaRN's, as far as positions are counted.
  EXPECT_EQ(ParsePatched(R"({"max_position_embeddings": null})")->max_positions, 65536);
  EXPECT_EQ(ParsePatched(R"({"max_position_embeddings": null, "rope_scaling": {"factor": 1e6}})")
                ->max_positions,
            (std::int64_t{1} << 31) - 1);
  EXPECT_EQ(ParsePatched(R"({"hc_mult": 8})")->hc_mult, 8);
  EXPECT_EQ(ParsePatched(R"({"quantization_config": {"weight_block_size": [32, 32]}})")->block_cols,
            32);
  // Window layers only need neither an indexer nor a second RoPE base.
  const auto plain = ParsePatched(R"({"compress_ratios": [0, 0, 0, 0, 0, 0], "index_n_heads": null,
      "index_head_dim": null, "index_topk": null, "compress_rope_theta": null})");
  ASSERT_TRUE(plain.ok()) << plain.status().ToString();
  EXPECT_EQ(plain->index_heads, 0);
}

TEST(ParseConfig, SaysWhatItHasNoCodeFor) {
  const Change cases[] = {
      {R"({"model_type": "llama"})",
       R"(config.json: 'model_type' is "llama", supported: "deepseek_v4")"},
      {R"({"model_type": null})", "'model_type' is missing, supported"},
      {R"({"scoring_func": "sigmoid"})", R"('scoring_func' is "sigmoid", only "sqrtsoftplus")"},
      {R"({"topk_method": "greedy"})", R"('topk_method' is "greedy", only "noaux_tc")"},
      {R"({"hidden_act": "gelu"})", R"('hidden_act' is "gelu", only "silu" is supported)"},
      {R"({"tie_word_embeddings": true})", "'tie_word_embeddings' is true, only false"},
      {R"({"attention_bias": true})", "'attention_bias' is true, only false"},
      {R"({"norm_topk_prob": false})", "'norm_topk_prob' is false, only true"},
      {R"({"n_shared_experts": 2})", "'n_shared_experts' is 2, only 1"},
      {R"({"num_key_value_heads": 8})", "'num_key_value_heads' is 8, only 1"},
      {R"({"rope_scaling": {"type": "linear"}})",
       R"(rope_scaling: 'rope_type' is "linear", only "yarn")"},
      {R"({"rope_scaling": {"attention_factor": 1.2}})", "'attention_factor' is 1.2, only 1.0"},
      {R"({"compress_ratios": [0, 4, 128, 4, 128, 4, 4]})",
       "'compress_ratios[6]' is 4, an MTP block has ratio 0"},
      {R"({"compress_ratios": null, "layer_types": ["full_attention"]})",
       "'layer_types[0]' is 'full_attention'"},
      {R"({"compress_ratios": null, "layer_types": ["sliding_attention"],
           "compress_rates": {"compressed_sparse_attention": 8}})",
       "compress_rates: 'compressed_sparse_attention' is 8, only 4"},
      {R"({"quantization_config": {"weight_block_size": [64, 128]}})",
       "'weight_block_size' is [64,128], expected [128,128] or [32,32]"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kUnsupported) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(ParseConfig, RefusesValuesOutOfRange) {
  const Change cases[] = {
      {R"({"hidden_size": null})", "config.json: 'hidden_size' is missing"},
      {R"({"hidden_size": 0})", "'hidden_size' is 0, expected an integer in [1, 1048576]"},
      {R"({"hidden_size": -256})", "'hidden_size' is -256"},
      {R"({"hidden_size": 256.5})", "'hidden_size' is 256.5, expected an integer"},
      {R"({"hidden_size": "256"})", "'hidden_size' is \"256\", expected an integer"},
      {R"({"hidden_size": 18446744073709551615})", "'hidden_size' is 18446744073709551615"},
      {R"({"vocab_size": 4611686018427387904})", "expected an integer in [1, 16777216]"},
      {R"({"num_hidden_layers": 1000000})", "'num_hidden_layers' is 1000000"},
      {R"({"num_nextn_predict_layers": -1})", "'num_nextn_predict_layers' is -1"},
      {R"({"num_attention_heads": 7})",
       "'num_attention_heads' is 7, expected a multiple of 'o_groups' = 2"},
      {R"({"o_groups": 0})", "'o_groups' is 0"},
      {R"({"qk_rope_head_dim": 33})", "'qk_rope_head_dim' is 33, expected an even number"},
      {R"({"qk_rope_head_dim": 130})",
       "'qk_rope_head_dim' is 130, expected an integer in [1, 128]"},
      {R"({"index_head_dim": 16})",
       "'qk_rope_head_dim' is 32, expected at most 'index_head_dim' = 16"},
      {R"({"index_topk": null})", "'index_topk' is missing"},
      {R"({"index_topk": 0})", "'index_topk' is 0"},
      {R"({"qk_rope_head_dim": null, "partial_rotary_factor": 0.3})",
       "'partial_rotary_factor' gives 38.4 of 128 channels"},
      {R"({"num_experts_per_tok": 17})",
       "'num_experts_per_tok' is 17, expected an integer in [1, 16]"},
      {R"({"num_hash_layers": 7})", "'num_hash_layers' is 7, expected an integer in [0, 6]"},
      {R"({"num_hash_layers": null, "mlp_layer_types": ["moe", "hash_moe"]})",
       "'mlp_layer_types' is not a run of"},
      {R"({"num_hash_layers": null, "mlp_layer_types": [1]})", "expected a list of strings"},
      {R"({"routed_scaling_factor": -1})", "'routed_scaling_factor' is -1, expected a number in"},
      {R"({"swiglu_limit": -10})", "'swiglu_limit' is -10"},
      {R"({"hc_mult": 3})", "'hc_mult' is 3, expected 2, 4 or 8"},
      {R"({"hc_mult": 1})", "'hc_mult' is 1, expected an integer in [2, 8]"},
      {R"({"hc_sinkhorn_iters": 0})", "'hc_sinkhorn_iters' is 0, expected an integer in [1, 1000]"},
      {R"({"rms_norm_eps": "tiny"})", "'rms_norm_eps' is \"tiny\", expected a number"},
      {R"({"compress_ratios": [0, 4]})",
       "'compress_ratios' has 2 entries, expected 6 (layers) or 7 (layers and MTP blocks)"},
      {R"({"compress_ratios": [0, 4, 128, 4, 128, 4, 0, 0, 0]})",
       "'compress_ratios' has 9 entries"},
      {R"({"compress_ratios": [0, -4, 128, 4, 128, 4, 0]})", "'compress_ratios[1]' is -4"},
      {R"({"compress_ratios": 4})", "'compress_ratios' is 4, expected a list of integers"},
      {R"({"compress_ratios": null})", "neither 'compress_ratios' nor 'layer_types' is there"},
      {R"({"compress_rope_theta": null})", "'compress_rope_theta' is missing"},
      {R"({"compress_rope_theta": 0})", "'compress_rope_theta' is 0, expected a number in [1.001"},
      {R"({"rope_theta": null})", "'rope_theta' is missing"},
      {R"({"rope_scaling": {"factor": null}})", "config.json: rope_scaling: 'factor' is missing"},
      {R"({"rope_scaling": {"original_max_position_embeddings": 0}})",
       "'original_max_position_embeddings' is 0"},
      {R"({"rope_scaling": {"beta_slow": 64}})", "'beta_fast' is 32 and 'beta_slow' 64"},
      {R"({"rope_scaling": 16})", "rope_scaling: expected an object, found 16"},
      // Flat parameters hold one embedding where this model has two.
      {R"({"rope_parameters": {"rope_type": "yarn", "factor": 16}})",
       "rope_parameters: 'main' is missing"},
      {R"({"max_position_embeddings": 0})", "'max_position_embeddings' is 0"},
      {R"({"bos_token_id": 8192})", "'bos_token_id' is 8192, expected an integer in [0, 8191]"},
      {R"({"eos_token_id": [1, -1]})", "'eos_token_id[1]' is -1"},
      {R"({"quantization_config": {"weight_block_size": [0, 128]}})",
       "quantization_config: 'weight_block_size[0]' is 0"},
  };
  for (const Change& c : cases) {
    const auto config = ParsePatched(c.patch);
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument) << c.patch;
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

TEST(ParseConfig, RefusesWhatIsNoConfig) {
  const Change cases[] = {
      {"", "config.json: parse error"},
      {"[]", "config.json: expected an object, found []"},
      {"{}", "'model_type' is missing"},
      {R"({"rms_norm_eps": NaN})", "parse error at line 1, column 18"},
      {R"({"hidden_size": 1, "hidden_size": 2})", "duplicate key 'hidden_size'"},
  };
  for (const Change& c : cases) {
    const auto config = ParseConfig(c.patch, "config.json");
    EXPECT_FALSE(config.ok());
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace birkhoff::models::deepseek_v4
