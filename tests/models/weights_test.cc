#include "models/deepseek_v4/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/files.h"
#include "base/thread_pool.h"
#include "models/checkpoint_source.h"
#include "models/deepseek_v4/random_weights.h"
#include "models/memory_source.h"
#include "models/small_model.h"

namespace birkhoff::models::deepseek_v4 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MemorySource RandomSource(const Config& config, Quantisation q) {
  ThreadPool pool(1);
  auto random = RandomWeights::Make(config, q, 1, pool);
  EXPECT_TRUE(random.ok()) << random.status().ToString();
  return MemorySource(*random);
}

MemorySource SmallSource() { return RandomSource(SmallModel(), Quantisation::kRelease); }

void ExpectError(const WeightSource& source, StatusCode code, const std::string& message) {
  const auto weights = LoadWeights(SmallModel(), source);
  EXPECT_EQ(weights.status().code(), code) << weights.status().ToString();
  EXPECT_THAT(weights.status().message(), HasSubstr(message));
}

void ExpectInvalid(const WeightSource& source, const std::string& message) {
  ExpectError(source, StatusCode::kInvalidArgument, message);
}

std::string TinyV4() { return std::string(BIRKHOFF_SOURCE_DIR) + "/models/tiny-v4"; }

TEST(LoadWeights, LoadsTheModelInTheTree) {
  const auto config = ParseConfig(*ReadFile(TinyV4() + "/config.json", 1 << 20), "config.json");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  auto checkpoint = io::Checkpoint::Open(TinyV4());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  const auto bytes = checkpoint->bytes();
  const CheckpointSource source(std::move(checkpoint).value());

  std::int64_t done = 0;
  const LoadOptions options = {.progress = [&](std::int64_t now, std::int64_t total) {
    EXPECT_GT(now, done);
    EXPECT_EQ(total, bytes);
    done = now;
  }};
  const auto w = LoadWeights(*config, source, options);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_EQ(done, bytes);
  EXPECT_THAT(w->unused, IsEmpty());
  EXPECT_THAT(w->notes, IsEmpty());
  ASSERT_EQ(w->layers.size(), 6u);
  ASSERT_TRUE(w->mtp.has_value());

  EXPECT_EQ(w->embed.m.format, WeightFormat::kBF16);
  EXPECT_EQ(w->embed.m.data, source.Find("embed.weight")->data) << "a matrix is not copied";
  const LayerParams& layer = w->layers[3];
  EXPECT_EQ(layer.attn.wq_b.name, "layers.3.attn.wq_b");
  EXPECT_EQ(layer.attn.wq_b.m.format, WeightFormat::kFp8Block);
  EXPECT_EQ(layer.attn.wq_b.m.scale_type, DType::kF8E8M0);
  EXPECT_EQ(layer.attn.wq_b.m.block_rows, 128);
  EXPECT_EQ(layer.attn.wo_a.m.rows, 256);
  EXPECT_EQ(layer.attn.wo_a.m.cols, 512);
  EXPECT_EQ(layer.ffn.experts.w1.size(), 16u);
  EXPECT_EQ(layer.ffn.experts.w1[15].format, WeightFormat::kMxfp4);
  EXPECT_EQ(layer.ffn.experts.w1[15].cols, 256);
  EXPECT_EQ(layer.ffn.experts.w2[0].rows, 256);
  EXPECT_EQ(layer.hc_attn.fn.shape, (Shape{24, 1024}));
  EXPECT_EQ(w->hc_head.base.shape, Shape{4});
}

TEST(LoadWeights, GivesEachLayerItsParts) {
  const MemorySource source = SmallSource();
  const auto w = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  const auto& layers = w->layers;
  EXPECT_FALSE(layers[0].attn.compressor.has_value());
  ASSERT_TRUE(layers[1].attn.indexer.has_value());
  EXPECT_EQ(layers[1].attn.compressor->wkv.m.rows, 2 * 32);  // pools overlap
  EXPECT_EQ(layers[1].attn.compressor->ape.shape, (Shape{4, 64}));
  EXPECT_EQ(layers[1].attn.indexer->wq_b.m.rows, 3 * 16);
  EXPECT_EQ(layers[1].attn.indexer->compressor.norm.shape, Shape{16});
  ASSERT_TRUE(layers[2].attn.compressor.has_value());
  EXPECT_EQ(layers[2].attn.compressor->wkv.m.rows, 32);
  EXPECT_EQ(layers[2].attn.compressor->ape.shape, (Shape{8, 32}));
  EXPECT_FALSE(layers[2].attn.indexer.has_value());
  EXPECT_NE(layers[0].ffn.tid2eid, nullptr);
  EXPECT_FALSE(layers[0].ffn.bias.has_value());
  EXPECT_EQ(layers[1].ffn.tid2eid, nullptr);
  EXPECT_TRUE(layers[1].ffn.bias.has_value());
  ASSERT_TRUE(w->mtp.has_value());
  EXPECT_TRUE(w->mtp->layer.ffn.bias.has_value());
  EXPECT_EQ(w->mtp->layer.attn.wq_a.name, "mtp.0.attn.wq_a");
}

TEST(LoadWeights, LoadsEveryQuantisation) {
  for (const auto q :
       {Quantisation::kF32, Quantisation::kBF16, Quantisation::kRelease, Quantisation::kBase}) {
    const MemorySource source = RandomSource(SmallModel(), q);
    const auto w = LoadWeights(SmallModel(), source);
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    EXPECT_THAT(w->unused, IsEmpty());
    EXPECT_TRUE(w->mtp.has_value());
  }
}

TEST(LoadWeights, ConvertsSmallTensorsExactly) {
  MemorySource source = SmallSource();
  auto& norm = source.tensors.at("norm.weight");
  norm.dtype = DType::kF16;
  // 1, the largest, the smallest normal and subnormal, zeros.
  const std::uint16_t codes[] = {0x3c00, 0x7bff, 0x0400, 0x8001, 0x0000, 0x8000};
  for (std::size_t i = 0; i < std::size(codes); ++i) source.Set("norm.weight", i, codes[i]);
  auto& table = source.tensors.at("layers.0.ffn.gate.tid2eid");
  table = MemorySource::Of(DType::kI32, table.shape, std::vector<std::int32_t>(80, 3));
  source.Set("layers.0.attn_norm.weight", 0, std::uint16_t{0xbfc0});  // -1.5 as BF16

  const auto w = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  const float* v = w->norm.data;
  EXPECT_EQ(v[0], 1.0f);
  EXPECT_EQ(v[1], 65504.0f);
  EXPECT_EQ(v[2], 0x1p-14f);
  EXPECT_EQ(v[3], -0x1p-24f);
  EXPECT_EQ(v[4], 0.0f);
  EXPECT_TRUE(std::signbit(v[5]));
  EXPECT_EQ(w->layers[0].attn_norm.data[0], -1.5f);
  EXPECT_EQ(w->layers[0].ffn.tid2eid[79], 3);
}

TEST(LoadWeights, CopiesAMatrixThatItsFileLeftMisaligned) {
  MemorySource source = SmallSource();
  auto& embed = source.tensors.at("embed.weight");
  const auto aligned = embed.bytes;
  embed.bytes.insert(embed.bytes.begin(), std::byte{0});
  embed.offset = 1;
  const auto w = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->embed.m.data) % 2, 0u);
  EXPECT_EQ(std::memcmp(w->embed.m.data, aligned.data(), aligned.size()), 0);
}

TEST(LoadWeights, TakesScalesAsTheyComeAndBlocksAsTheirShapeSays) {
  MemorySource source = SmallSource();
  source.tensors.at("layers.0.attn.wq_a.scale").dtype = DType::kU8;
  source.tensors.at("layers.0.ffn.experts.0.w1.weight").dtype = DType::kU8;
  source.tensors.at("layers.0.ffn.experts.0.w1.scale").dtype = DType::kU8;
  // [48, 64] in blocks of 32 although the config says 128.
  source.tensors["layers.1.attn.wq_a.scale"] =
      MemorySource::Of(DType::kF32, {2, 2}, std::vector<float>(4, 0.5f));
  const auto w = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_EQ(w->layers[0].attn.wq_a.m.scale_type, DType::kF8E8M0);
  EXPECT_EQ(w->layers[0].ffn.experts.w1[0].format, WeightFormat::kMxfp4);
  EXPECT_EQ(w->layers[1].attn.wq_a.m.block_rows, 32);
  EXPECT_EQ(w->layers[1].attn.wq_a.m.block_cols, 32);
  EXPECT_EQ(w->layers[1].attn.wq_a.m.scale_type, DType::kF32);
}

TEST(LoadWeights, NamesAMissingTensor) {
  for (const char* name : {"embed.weight", "norm.weight", "layers.1.attn.indexer.compressor.ape",
                           "layers.0.ffn.gate.tid2eid", "layers.1.ffn.gate.bias",
                           "layers.2.ffn.experts.4.w2.weight", "hc_head_scale"}) {
    MemorySource source = SmallSource();
    source.tensors.erase(name);
    ExpectError(source, StatusCode::kNotFound, std::string("tensor '") + name + "' is missing");
  }
  MemorySource source = SmallSource();
  source.tensors.erase("layers.0.attn.wq_a.scale");
  ExpectInvalid(source, "memory: layers.0.attn.wq_a.weight: F8_E4M3 without a scale tensor");
}

TEST(LoadWeights, RefusesAWrongShapeOrType) {
  struct Bad {
    const char* name = "";
    DType dtype = DType::kF32;
    Shape shape = {};
    const char* message = "";
  };
  const Bad cases[] = {
      {"embed.weight",
       DType::kBF16,
       {40, 65},
       "memory: embed.weight: shape [40, 65] of BF16, expected [40, 64]"},
      {"embed.weight",
       DType::kI64,
       {40, 64},
       "dtype I64, expected BF16, F16, F32, F8_E4M3, I8 or U8"},
      {"norm.weight", DType::kBF16, {64, 1}, "memory: norm.weight: shape [64, 1], expected [64]"},
      {"norm.weight",
       DType::kI32,
       {64},
       "memory: norm.weight: dtype I32, expected F32, BF16 or F16"},
      {"layers.0.attn.wq_a.weight",
       DType::kF8E4M3,
       {64, 48},
       "shape [64, 48] of F8_E4M3, expected [48, 64]"},
      {"layers.0.attn.wq_a.scale",
       DType::kF8E8M0,
       {3, 3},
       "shape [3, 3], expected [1, 1] for 128 x 128 blocks, [2, 2] for 32 x 32 blocks or [48, 1] "
       "for the rows of a [48, 64] weight"},
      {"layers.0.attn.wq_a.scale", DType::kI32, {1, 1}, "dtype I32, expected F8_E8M0, U8 or F32"},
      {"layers.0.ffn.experts.2.w1.weight",
       DType::kI8,
       {160, 64},
       "shape [160, 64] of I8, expected [160, 32] (64 MXFP4 columns)"},
      {"layers.0.ffn.experts.2.w1.scale",
       DType::kF8E8M0,
       {160, 1},
       "shape [160, 1] of F8_E8M0, expected [160, 2]"},
      {"layers.0.ffn.experts.2.w1.scale",
       DType::kF32,
       {160, 2},
       "dtype F32, expected F8_E8M0 or U8 for the scale of MXFP4"},
      {"layers.0.ffn.gate.tid2eid", DType::kI64, {40, 3}, "shape [40, 3] of I64, expected [40, 2]"},
      {"layers.0.ffn.gate.tid2eid", DType::kF32, {40, 2}, "of F32, expected [40, 2] of I64 or I32"},
  };
  for (const Bad& c : cases) {
    MemorySource source = SmallSource();
    const ConstTensorView view = {nullptr, c.dtype, c.shape};
    source.tensors[c.name] = {c.dtype, c.shape,
                              std::vector<std::byte>(static_cast<std::size_t>(view.bytes()))};
    ExpectInvalid(source, c.message);
  }
}

TEST(LoadWeights, RefusesMxfp4ThatIsNoMultipleOf32) {
  Config config = SmallModel();
  config.expert_width = 40;
  MemorySource source = RandomSource(config, Quantisation::kBase);
  source.tensors["layers.0.ffn.experts.0.w2.weight"] =
      MemorySource::Of(DType::kI8, {64, 20}, std::vector<std::int8_t>(64 * 20));
  const auto w = LoadWeights(config, source);
  EXPECT_THAT(w.status().message(), HasSubstr("MXFP4 with 40 columns, expected a multiple of 32"));
}

TEST(LoadWeights, RefusesValuesThatAreNoNumbers) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto spoiled = [](const char* name, std::size_t i, auto value, const char* message) {
    MemorySource source = SmallSource();
    source.Set(name, i, value);
    ExpectInvalid(source, message);
  };
  spoiled("layers.1.hc_ffn_fn", 129, inf,
          "memory: layers.1.hc_ffn_fn: element [1, 1] is inf, expected a finite");
  spoiled("norm.weight", 5, std::uint16_t{0x7fc0}, "norm.weight: element [5] is nan");
  spoiled("embed.weight", 65, std::uint16_t{0xff80},
          "embed.weight: element [1, 1] is code 0xff80 of BF16");
  spoiled("layers.0.attn.wq_a.weight", 130, std::uint8_t{0x7f},
          "element [2, 2] is code 0x7f of F8_E4M3");
  spoiled("layers.0.attn.wq_a.weight", 0, std::uint8_t{0xff},
          "element [0, 0] is code 0xff of F8_E4M3");
  spoiled("layers.0.attn.wq_a.scale", 0, std::uint8_t{255},
          "element [0, 0] is code 0xff of F8_E8M0, expected a finite positive scale");
  spoiled("layers.2.ffn.experts.1.w3.scale", 3, std::uint8_t{255},
          "layers.2.ffn.experts.1.w3.scale: element [1, 1] is");
  spoiled("layers.0.ffn.gate.tid2eid", 3, std::int64_t{5},
          "element [1, 1] is 5, expected an expert in [0, 5)");
  spoiled("layers.0.ffn.gate.tid2eid", 0, std::int64_t{-1},
          "element [0, 0] is -1, expected an expert");
  spoiled("layers.0.ffn.gate.tid2eid", 0, std::int64_t{1} << 32, "element [0, 0] is 4294967296");

  for (const float bad : {0.0f, -1.0f, inf, std::nanf("")}) {
    MemorySource source = RandomSource(SmallModel(), Quantisation::kBase);
    source.Set("layers.1.attn.wkv.scale", 0, bad);
    ExpectInvalid(source, "layers.1.attn.wkv.scale: element [0, 0] is ");
  }
}

TEST(LoadWeights, ReportsWhatItDoesNotUse) {
  MemorySource source = SmallSource();
  const auto extra = MemorySource::Of(DType::kF32, {1}, std::vector<float>{1});
  for (const char* name :
       {"vision.patch", "layers.0.attn.extra.weight", "layers.3.attn.wq_a.weight",
        "layers.61.eh_proj.weight", "mtp.0.emb.tok_emb.weight", "mtp.0.head.weight"}) {
    source.tensors[name] = extra;
  }
  const auto w = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(w.ok()) << w.status().ToString();
  EXPECT_THAT(w->unused, ElementsAre("layers.0.attn.extra.weight", "vision.patch"));
  EXPECT_THAT(w->notes,
              ElementsAre("2 tensors of layers from 3 on ignored: the config has 3 layers"));
  EXPECT_TRUE(w->mtp.has_value());
}

TEST(LoadWeights, DoesWithoutMtp) {
  MemorySource source = SmallSource();
  source.tensors.erase("mtp.0.hnorm.weight");
  const auto partial = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(partial.ok()) << partial.status().ToString();
  EXPECT_FALSE(partial->mtp.has_value());
  EXPECT_THAT(partial->unused, IsEmpty());
  EXPECT_THAT(partial->notes, ElementsAre("mtp.0 ignored: tensor 'mtp.0.hnorm.weight' is missing"));

  for (const std::string& name : source.Names()) {
    if (name.starts_with("mtp.")) source.tensors.erase(name);
  }
  const auto none = LoadWeights(SmallModel(), source);
  ASSERT_TRUE(none.ok()) << none.status().ToString();
  EXPECT_FALSE(none->mtp.has_value());
  EXPECT_THAT(none->notes, ElementsAre("no drafts: the config has 1 MTP blocks, the checkpoint "
                                       "lacks the first"));
  EXPECT_THAT(LoadWeights(SmallModel(), source, {.draft = false})->notes, IsEmpty());
}

// Drafts follow the last layer and begin with the embedding.
TEST(LoadWeights, GivesTheDraftBlockToTheLastStage) {
  const MemorySource source = RandomSource(SmallModel(), Quantisation::kRelease);
  const struct {
    std::int64_t first = 0;
    std::int64_t end = 0;
    bool draft = false;
    bool has_embedding = false;
    bool has_draft = false;
  } cases[] = {{0, 1, true, true, false},
               {1, 2, true, false, false},
               {2, 3, false, false, false},
               {2, 3, true, true, true}};
  for (const auto& c : cases) {
    const auto w = LoadWeights(SmallModel(), source,
                               {.draft = c.draft, .first_layer = c.first, .end_layer = c.end});
    ASSERT_TRUE(w.ok()) << w.status().ToString();
    EXPECT_EQ(w->embed.m.data != nullptr, c.has_embedding) << c.first;
    EXPECT_EQ(w->mtp.has_value(), c.has_draft) << c.first;
    EXPECT_THAT(w->unused, IsEmpty());
  }
}

TEST(LoadWeights, LeavesMtpBlocksOutWithOneNote) {
  const MemorySource one = SmallSource();
  std::int64_t tensors = 0;
  std::int64_t others = 0;
  for (const std::string& name : one.Names()) {
    ++(name.starts_with("mtp.") ? tensors : others);
  }

  std::int64_t calls = 0;
  std::int64_t left = -1;
  const auto off = LoadWeights(SmallModel(), one,
                               {.progress =
                                    [&](std::int64_t done, std::int64_t total) {
                                      ++calls;
                                      left = total - done;
                                    },
                                .draft = false});
  ASSERT_TRUE(off.ok()) << off.status().ToString();
  EXPECT_FALSE(off->mtp.has_value());
  EXPECT_THAT(off->unused, IsEmpty());
  EXPECT_THAT(off->notes, ElementsAre(std::to_string(tensors) +
                                      " tensors of MTP blocks ignored: drafts are off"));
  EXPECT_EQ(calls, others);
  EXPECT_EQ(left, 0);

  Config config = SmallModel();
  config.mtp_layers = 0;
  const auto none = LoadWeights(config, one);
  ASSERT_TRUE(none.ok()) << none.status().ToString();
  EXPECT_THAT(none->unused, IsEmpty());
  EXPECT_THAT(none->notes, ElementsAre(std::to_string(tensors) +
                                       " tensors of MTP blocks ignored: the config has no MTP "
                                       "block"));

  config.mtp_layers = 2;
  config.ratios.push_back(0);
  const auto first = LoadWeights(config, RandomSource(config, Quantisation::kRelease));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_TRUE(first->mtp.has_value());
  EXPECT_THAT(first->notes, ElementsAre(std::to_string(tensors) +
                                        " tensors of MTP blocks ignored: only the first block "
                                        "drafts"));
}

TEST(LoadWeights, RefusesTwoSpellingsOfOneTensor) {
  MemorySource source = SmallSource();
  source.tensors["model.norm.weight"] = source.tensors.at("norm.weight");
  ExpectInvalid(source, "are two spellings of 'norm.weight'");
}

}  // namespace
}  // namespace birkhoff::models::deepseek_v4
