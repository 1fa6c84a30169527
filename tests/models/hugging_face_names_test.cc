// A checkpoint under Hugging Face's names loads to the same values as under the official ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "base/thread_pool.h"
#include "kernels/ref/elements.h"
#include "models/checkpoint_source.h"
#include "models/deepseek_v4/names.h"
#include "models/deepseek_v4/random_weights.h"
#include "models/deepseek_v4/weights.h"
#include "models/memory_source.h"
#include "models/small_model.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Official to Hugging Face, in this order; written from the table of the format, not from the code.
// "^" is the start of a name.
const std::pair<std::string_view, std::string_view> kRules[] = {
    {"^embed.", "model.embed_tokens."},
    {"^head.", "lm_head."},
    {"^norm.", "model.norm."},
    {"^hc_head_", "model.hc_head.hc_"},
    {"^layers.", "model.layers."},
    {".attn_norm.", ".input_layernorm."},
    {".ffn_norm.", ".post_attention_layernorm."},
    {".hc_attn_", ".attn_hc."},
    {".hc_ffn_", ".ffn_hc."},
    {".attn.indexer.compressor.", ".attn.compressor.indexer."},
    {".attn.indexer.weights_proj.", ".attn.compressor.indexer.scorer.weights_proj."},
    {".attn.indexer.", ".attn.compressor.indexer."},
    {"compressor.norm.", "compressor.kv_norm."},
    {"indexer.norm.", "indexer.kv_norm."},
    {".wgate.", ".gate_proj."},
    {".ape", ".position_bias"},
    {".attn.q_norm.", ".attn.q_a_norm."},
    {".wq_a.", ".q_a_proj."},
    {".wq_b.", ".q_b_proj."},
    {".wkv.", ".kv_proj."},
    {".attn_sink", ".sinks"},
    {".wo_a.", ".o_a_proj."},
    {".wo_b.", ".o_b_proj."},
    {".gate.bias", ".gate.e_score_correction_bias"},
    {".w1.", ".gate_proj."},
    {".w3.", ".up_proj."},
    {".w2.", ".down_proj."},
    {"_proj.scale", "_proj.weight_scale_inv"},
    {".attn.", ".self_attn."},
    {".ffn.", ".mlp."},
};

std::string HuggingFaceName(const std::string& official) {
  std::string name = "^" + official;
  for (const auto& [from, to] : kRules) {
    if (const auto at = name.find(from); at != name.npos) name.replace(at, from.size(), to);
  }
  return name;
}

MemorySource Renamed(MemorySource source) {
  for (const std::string& name : source.Names()) {
    if (name.starts_with("mtp.")) {
      source.tensors.erase(name);
    } else {
      source.Rename(name, HuggingFaceName(name));
    }
  }
  return source;
}

// Replaces per-expert tensors by one for all; `parts` stand one after the other in each expert.
void Fuse(MemorySource& source, const std::string& at, std::int64_t experts,
          std::initializer_list<const char*> parts, const char* suffix, const std::string& fused) {
  MemorySource::Tensor all;
  for (std::int64_t e = 0; e < experts; ++e) {
    for (const char* part : parts) {
      const auto node = source.tensors.extract(at + std::to_string(e) + "." + part + suffix);
      const MemorySource::Tensor& t = node.mapped();
      all.dtype = t.dtype;
      all.shape = {experts, t.shape[0] * std::ssize(parts), t.shape[1]};
      all.bytes.insert(all.bytes.end(), t.bytes.begin(), t.bytes.end());
    }
  }
  source.tensors[at + fused] = std::move(all);
}

void FuseExperts(MemorySource& source, const Config& c, bool scales) {
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    Fuse(source, at, c.experts, {"gate_proj", "up_proj"}, ".weight", "gate_up_proj");
    Fuse(source, at, c.experts, {"down_proj"}, ".weight", "down_proj");
    if (!scales) continue;
    Fuse(source, at, c.experts, {"gate_proj", "up_proj"}, ".weight_scale_inv",
         "gate_up_proj_scale_inv");
    Fuse(source, at, c.experts, {"down_proj"}, ".weight_scale_inv", "down_proj_scale_inv");
  }
}

void ExpectSame(const WeightMatrix& a, const WeightMatrix& b, const std::string& name) {
  ASSERT_EQ(a.rows, b.rows) << name;
  ASSERT_EQ(a.cols, b.cols) << name;
  std::int64_t different = 0;
  for (std::int64_t r = 0; r < a.rows; r += 7) {
    for (std::int64_t c = 0; c < a.cols; ++c)
      different += ref::Weight(a, r, c) != ref::Weight(b, r, c);
  }
  EXPECT_EQ(different, 0) << name;
}

void ExpectSame(const VectorParam& a, const VectorParam& b) {
  ASSERT_EQ(a.shape, b.shape) << a.name;
  for (std::int64_t i = 0; i < a.shape.elements(); ++i) ASSERT_EQ(a.data[i], b.data[i]) << a.name;
}

void ExpectSame(const CompressorParams& a, const CompressorParams& b) {
  ExpectSame(a.wkv.m, b.wkv.m, a.wkv.name);
  ExpectSame(a.wgate.m, b.wgate.m, a.wgate.name);
  ExpectSame(a.ape, b.ape);
  ExpectSame(a.norm, b.norm);
}

void ExpectSame(const AttentionParams& a, const AttentionParams& b) {
  for (const auto field : {&AttentionParams::wq_a, &AttentionParams::wq_b, &AttentionParams::wkv,
                           &AttentionParams::wo_a, &AttentionParams::wo_b}) {
    ExpectSame((a.*field).m, (b.*field).m, (a.*field).name);
  }
  for (const auto field :
       {&AttentionParams::q_norm, &AttentionParams::kv_norm, &AttentionParams::sink}) {
    ExpectSame(a.*field, b.*field);
  }
  ASSERT_EQ(a.compressor.has_value(), b.compressor.has_value());
  if (a.compressor) ExpectSame(*a.compressor, *b.compressor);
  ASSERT_EQ(a.indexer.has_value(), b.indexer.has_value());
  if (!a.indexer) return;
  ExpectSame(a.indexer->wq_b.m, b.indexer->wq_b.m, a.indexer->wq_b.name);
  ExpectSame(a.indexer->weights_proj.m, b.indexer->weights_proj.m, a.indexer->weights_proj.name);
  ExpectSame(a.indexer->compressor, b.indexer->compressor);
}

void ExpectSame(const MoeParams& a, const MoeParams& b) {
  ExpectSame(a.gate.m, b.gate.m, a.gate.name);
  ASSERT_EQ(a.bias.has_value(), b.bias.has_value());
  if (a.bias) ExpectSame(*a.bias, *b.bias);
  for (const auto field : {&ExpertParams::w1, &ExpertParams::w3, &ExpertParams::w2}) {
    const auto& x = a.experts.*field;
    const auto& y = b.experts.*field;
    ASSERT_EQ(x.size(), y.size());
    for (std::size_t e = 0; e < x.size(); ++e) {
      ExpectSame(x[e], y[e], a.name + " expert " + std::to_string(e));
    }
  }
  for (const auto field : {&MlpParams::w1, &MlpParams::w3, &MlpParams::w2}) {
    ExpectSame((a.shared.*field).m, (b.shared.*field).m, (a.shared.*field).name);
  }
}

void ExpectSame(const HcParams& a, const HcParams& b) {
  ExpectSame(a.fn, b.fn);
  ExpectSame(a.base, b.base);
  ExpectSame(a.scale, b.scale);
}

void ExpectSame(const Weights& a, const Weights& b) {
  ExpectSame(a.embed.m, b.embed.m, "embed");
  ExpectSame(a.head.m, b.head.m, "head");
  ExpectSame(a.norm, b.norm);
  ExpectSame(a.hc_head, b.hc_head);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    ExpectSame(a.layers[i].attn_norm, b.layers[i].attn_norm);
    ExpectSame(a.layers[i].ffn_norm, b.layers[i].ffn_norm);
    ExpectSame(a.layers[i].hc_attn, b.layers[i].hc_attn);
    ExpectSame(a.layers[i].hc_ffn, b.layers[i].hc_ffn);
    ExpectSame(a.layers[i].attn, b.layers[i].attn);
    ExpectSame(a.layers[i].ffn, b.layers[i].ffn);
  }
  EXPECT_THAT(b.unused, IsEmpty());
}

void ExpectLoadsAs(const Weights& official, const Config& config, const WeightSource& source) {
  const auto w = LoadWeights(config, source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  ExpectSame(official, *w);
  EXPECT_FALSE(w->mtp.has_value());
}

MemorySource Random(const Config& config, Quantisation q) {
  ThreadPool pool(1);
  return MemorySource(*RandomWeights::Make(config, q, 1, pool));
}

TEST(HuggingFaceNames, LoadAsTheOfficialOnes) {
  for (const auto q : {Quantisation::kBF16, Quantisation::kRelease, Quantisation::kBase}) {
    const Config config = SmallModel();
    const MemorySource official = Random(config, q);
    const auto w = LoadWeights(config, official);
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    ExpectLoadsAs(*w, config, Renamed(official));
  }
}

TEST(HuggingFaceNames, LoadFusedExperts) {
  Config config = SmallModel();
  config.expert_width = 256;
  for (const auto q : {Quantisation::kBF16, Quantisation::kRelease, Quantisation::kBase}) {
    const MemorySource official = Random(config, q);
    const auto w = LoadWeights(config, official);
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    MemorySource fused = Renamed(official);
    FuseExperts(fused, config, q != Quantisation::kBF16);
    ExpectLoadsAs(*w, config, fused);
  }
}

TEST(HuggingFaceNames, RefuseFusedExpertsThatCannotBeSplit) {
  // 224 rows are 1.75 blocks: the second block belongs to both halves.
  Config config = SmallModel();
  config.expert_width = 224;
  MemorySource source = Renamed(Random(config, Quantisation::kBase));
  FuseExperts(source, config, true);
  EXPECT_THAT(LoadWeights(config, source).status().message(),
              HasSubstr("gate_up_proj: 224 rows of an expert are no multiple of the scale's 128"));

  config = SmallModel();
  source = Renamed(Random(config, Quantisation::kBF16));
  FuseExperts(source, config, false);
  source.tensors.at("model.layers.1.mlp.experts.down_proj").shape = {4, 80, 160};
  EXPECT_THAT(LoadWeights(config, source).status().message(),
              HasSubstr("shape [4, 80, 160], expected the 5 experts of [64, 160] in one tensor"));
}

// The model in the tree as transformers would hold it: every matrix dequantised to BF16.
TEST(HuggingFaceNames, LoadTheTrainedModelDequantised) {
  const std::string folder = std::string(BIRKHOFF_SOURCE_DIR) + "/models/tiny-v4";
  const auto config = ParseConfig(*ReadFile(folder + "/config.json", 1 << 20), "config.json");
  ASSERT_TRUE(config.ok());
  const CheckpointSource source(std::move(io::Checkpoint::Open(folder)).value());
  const auto official = LoadWeights(*config, source);
  ASSERT_TRUE(official.ok()) << official.status().ToString();

  MemorySource plain(source);
  const auto dequantise = [&](const std::string& name, const WeightMatrix& m) {
    std::vector<bf16> values;
    for (std::int64_t i = 0; i < m.rows * m.cols; ++i) {
      values.emplace_back(static_cast<float>(ref::Weight(m, i / m.cols, i % m.cols)));
    }
    plain.tensors.erase(name + ".scale");
    plain.tensors[name + ".weight"] = MemorySource::Of(DType::kBF16, {m.rows, m.cols}, values);
  };
  for (const LayerParams& layer : official->layers) {
    for (const MatrixParam* p :
         {&layer.attn.wq_a, &layer.attn.wq_b, &layer.attn.wkv, &layer.attn.wo_a, &layer.attn.wo_b,
          &layer.ffn.shared.w1, &layer.ffn.shared.w3, &layer.ffn.shared.w2}) {
      dequantise(p->name, p->m);
    }
    if (layer.attn.indexer) dequantise(layer.attn.indexer->wq_b.name, layer.attn.indexer->wq_b.m);
    for (std::size_t e = 0; e < layer.ffn.experts.w1.size(); ++e) {
      const std::string at = layer.ffn.name + ".experts." + std::to_string(e) + ".";
      dequantise(at + "w1", layer.ffn.experts.w1[e]);
      dequantise(at + "w3", layer.ffn.experts.w3[e]);
      dequantise(at + "w2", layer.ffn.experts.w2[e]);
    }
  }
  MemorySource renamed = Renamed(std::move(plain));
  FuseExperts(renamed, *config, false);
  ExpectLoadsAs(*official, *config, renamed);
}

TEST(OfficialName, TakesOlderAndMixedSpellings) {
  const std::pair<const char*, const char*> cases[] = {
      {"model.layers.2.self_attn.compressor.indexer.weights_proj.weight",
       "layers.2.attn.indexer.weights_proj.weight"},
      {"layers.2.self_attn.wq_a.weight_scale_inv", "layers.2.attn.wq_a.scale"},
      {"layers.2.mlp.gate.e_score_correction_bias", "layers.2.ffn.gate.bias"},
      {"layers.2.mlp.experts.7.w2.scale", "layers.2.ffn.experts.7.w2.scale"},
      {"mtp.0.mlp.shared_experts.w1.weight_scale_inv", "mtp.0.ffn.shared_experts.w1.scale"},
      {"model.layers.0.attn_hc.scale", "layers.0.hc_attn_scale"},
      {"layers.0.attn.kv_norm.weight", "layers.0.attn.kv_norm.weight"},
      {"layers.", "layers."},
      {"layers.0.", "layers.0."},
      {"model.", ""},
      {"", ""},
      {"model.unknown.thing", "unknown.thing"},
  };
  for (const auto& [name, official] : cases) EXPECT_EQ(OfficialName(name), official);
}

}  // namespace
}  // namespace birkhoff::models::deepseek_v4
