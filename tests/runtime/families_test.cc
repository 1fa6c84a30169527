// DeepSeek-V3 and Qwen3: small checkpoints against the outputs that Hugging Face transformers gives
// for them, and the same bits in any chunks and any batch.
#include <optional>
#include <random>

#include "base/files.h"
#include "runtime/engine_impl.h"
#include "runtime/loaded_model.h"
#include "tests/models/checkpoint_source.h"
#include "tests/models/memory_source.h"
#include "tests/runtime/golden_file.h"
#include "tests/runtime/pieces.h"

namespace birkhoff {
namespace {

const std::string kTinyV3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-v3";
const std::string kTinyQwen3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-qwen3-fp8";
constexpr int kPrompts = 7;

using models::MlaForm;

std::unique_ptr<Engine> ToEngine(Result<runtime::LoadedModel> model, Precision precision) {
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  if (!model.ok()) return nullptr;
  auto impl = Engine::Impl::Make(std::move(*model),
                                 {.precision = precision, .threads = 2, .max_sessions = 4}, {});
  EXPECT_TRUE(impl.ok()) << impl.status().ToString();
  return impl.ok() ? std::make_unique<Engine>(std::move(*impl)) : nullptr;
}

// A fusion that finds less than it expects is an error.
runtime::GraphOptions Options(Precision precision, MlaForm mla) {
  return {.precision = precision,
          .context = 1024,
          .threads = 2,
          .fusion = {.strict = FusionStrict::kError},
          .mla = mla};
}

std::unique_ptr<Engine> Load(const std::string& folder, Precision precision,
                             MlaForm mla = MlaForm::kAbsorbed) {
  return ToEngine(runtime::LoadModel(folder, Options(precision, mla), {}), precision);
}

std::vector<std::int32_t> Greedy(Engine& engine, std::span<const std::int32_t> prompt,
                                 std::size_t count) {
  std::vector<std::int32_t> tokens;
  auto session = engine.NewSession();
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  const auto stats = engine.Generate(
      *session, prompt, {.max_tokens = static_cast<std::int64_t>(count), .ignore_eos = true},
      [&](std::int32_t token) {
        tokens.push_back(token);
        return true;
      });
  EXPECT_TRUE(stats.ok()) << stats.status().ToString();
  return tokens;
}

// How far the scores of all prompts are from the goldens.
struct Distance {
  double mean_logprob = 0;  // |difference|, nats
  int positions = 0;
  int other_first = 0;          // positions with another first choice
  int other_first_by_0_25 = 0;  // of those, with a golden margin above 0.25
};

Distance Measure(Engine& engine, const GoldenFile& golden) {
  Distance d;
  std::size_t tokens = 0;
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    const auto ids = golden.Ids(prompt);
    const auto score = engine.Score(ids, {.top = 1});
    EXPECT_TRUE(score.ok()) << score.status().ToString();
    if (!score.ok()) return d;
    const auto expected = golden.Get<float>(prompt, "token_logprobs");
    for (std::size_t t = 0; t < expected.size(); ++t, ++tokens) {
      d.mean_logprob += std::abs(static_cast<double>(score->token_logprobs[t]) - expected[t]);
    }
    const auto top = golden.Get<std::int32_t>(prompt, "top_ids");
    const auto logprobs = golden.Get<float>(prompt, "top_logprobs");
    for (std::size_t t = 0; t < ids.size(); ++t, ++d.positions) {
      if (score->top_ids[t][0] == top[5 * t]) continue;
      ++d.other_first;
      if (logprobs[5 * t] - logprobs[5 * t + 1] > 0.25f) ++d.other_first_by_0_25;
    }
  }
  d.mean_logprob /= static_cast<double>(tokens);
  return d;
}

class DeepSeekV3 : public testing::TestWithParam<MlaForm> {};

TEST_P(DeepSeekV3, AgreesInFloat32) {
  constexpr double kBound = 1e-3;
  const GoldenFile golden(kTinyV3);
  const auto engine = Load(kTinyV3, Precision::kF32, GetParam());
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->info().type, "deepseek_v3");
  EXPECT_FALSE(engine->info().has_draft);
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    const auto ids = golden.Ids(prompt);
    const auto score = engine->Score(ids, {.top = 1, .logits_last = true});
    ASSERT_TRUE(score.ok()) << score.status().ToString();
    const Difference logits = Compare(score->logits_last, golden.Get<float>(prompt, "logits_last"));
    EXPECT_LE(logits.largest, kBound) << "prompt " << prompt << " logit " << logits.at;
    const Difference logprobs =
        Compare(score->token_logprobs, golden.Get<float>(prompt, "token_logprobs"));
    EXPECT_LE(logprobs.largest, kBound) << "prompt " << prompt << " token " << logprobs.at;
    const auto greedy = golden.Get<std::int32_t>(prompt, "greedy");
    if (!greedy.empty()) {
      EXPECT_EQ(Greedy(*engine, ids, greedy.size()), greedy);
    }
  }
}

TEST_P(DeepSeekV3, IsWithinTheRoundingOfItsActivations) {
  const auto engine = Load(kTinyV3, Precision::kBF16, GetParam());
  ASSERT_NE(engine, nullptr);
  const Distance d = Measure(*engine, GoldenFile(kTinyV3));
  RecordProperty("mean_delta_logprob", std::to_string(d.mean_logprob));
  EXPECT_LE(d.mean_logprob, 0.02);
  EXPECT_EQ(d.other_first_by_0_25, 0);
}

std::string FormName(const testing::TestParamInfo<MlaForm>& form) {
  return form.param == MlaForm::kAbsorbed ? "Absorbed" : "Expanded";
}
INSTANTIATE_TEST_SUITE_P(Forms, DeepSeekV3, testing::Values(MlaForm::kAbsorbed, MlaForm::kExpanded),
                         FormName);

// kv_b_proj of every layer in FP8, as the releases have it: the parts of a head take their scales
// with them.
TEST(DeepSeekV3Fp8, FormsAgree) {
  auto checkpoint = io::Checkpoint::Open(kTinyV3);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  const auto source =
      std::make_shared<models::MemorySource>(models::CheckpointSource(std::move(*checkpoint)));
  std::mt19937 random(1);
  for (int layer = 0; layer < 4; ++layer) {
    const std::string name =
        "model.layers." + std::to_string(layer) + ".self_attn.kv_b_proj.weight";
    std::vector<std::uint8_t> codes(512 * 128);  // of [0.25, 2) either sign
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>((random() & 0x97) + 0x28);
    std::vector<float> scales(16 * 4);
    for (float& scale : scales) scale = 0.02f + 0.001f * static_cast<float>(random() % 32);
    source->tensors[name] = models::MemorySource::Of(DType::kF8E4M3, {512, 128}, codes);
    source->tensors[name + "_scale_inv"] = models::MemorySource::Of(DType::kF32, {16, 4}, scales);
  }
  const auto config = ReadFile(kTinyV3 + "/config.json", 1 << 20);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ThreadPool pool(2);
  std::vector<ScoreResult> scores;
  for (const MlaForm mla : {MlaForm::kAbsorbed, MlaForm::kExpanded}) {
    const auto engine = ToEngine(runtime::BuildModel(*config, "config.json", source,
                                                     Options(Precision::kF32, mla), pool, {}),
                                 Precision::kF32);
    ASSERT_NE(engine, nullptr);
    auto score = engine->Score(GoldenFile(kTinyV3).Ids(5), {.logits_last = true});
    ASSERT_TRUE(score.ok()) << score.status().ToString();
    scores.push_back(*std::move(score));
  }
  EXPECT_LE(Compare(scores[0].logits_last, scores[1].logits_last).largest, 1e-4);
  EXPECT_LE(Compare(scores[0].token_logprobs, scores[1].token_logprobs).largest, 1e-4);
}

TEST(Families, AreListedForAnUnknownType) {
  ThreadPool pool(1);
  const auto model =
      runtime::BuildModel(R"({"model_type": "llama"})", "config.json", nullptr, {}, pool, {});
  EXPECT_EQ(model.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(model.status().message(),
            "config.json: 'model_type' is \"llama\", supported: \"deepseek_v3\", "
            "\"deepseek_v4\", \"kimi_k2\", \"qwen3\"");
}

// The goldens quantise the input of every linear layer to FP8, and a change of 1e-7 flips roundings
// that random weights amplify: only statistics can be compared.
TEST(Qwen3, IsAsFarAsQuantisedActivationsMake) {
  const GoldenFile golden(kTinyQwen3);
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const auto engine = Load(kTinyQwen3, precision);
    ASSERT_NE(engine, nullptr);
    EXPECT_EQ(engine->info().type, "qwen3");
    const Distance d = Measure(*engine, golden);
    RecordProperty("mean_delta_logprob", std::to_string(d.mean_logprob));
    EXPECT_LE(d.mean_logprob, 0.05);
    EXPECT_LE(d.other_first, 0.2 * d.positions);
  }
}

struct Case {
  const char* name = "";
  std::string folder = {};
  Precision precision = Precision::kBF16;
  MlaForm mla = MlaForm::kAbsorbed;
};

class SameBits : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Engine> LoadCase() const {
    return Load(GetParam().folder, GetParam().precision, GetParam().mla);
  }
};

TEST_P(SameBits, InAnyChunks) {
  const auto engine = LoadCase();
  ASSERT_NE(engine, nullptr);
  const auto ids = GoldenFile(GetParam().folder).Ids(6);
  const auto whole = RunInPieces(*engine, ids, ids.size());
  for (const std::size_t piece : {1u, 3u, 31u, 32u, 127u}) {
    ExpectSameBits(whole, RunInPieces(*engine, ids, piece), "pieces of " + std::to_string(piece));
  }
}

TEST_P(SameBits, InAnyBatch) {
  const auto engine = LoadCase();
  ASSERT_NE(engine, nullptr);
  const GoldenFile golden(GetParam().folder);
  const std::vector<std::vector<std::int32_t>> texts = {golden.Ids(3), golden.Ids(6), golden.Ids(1),
                                                        golden.Ids(5)};
  std::vector<std::vector<Logits>> alone;
  for (const auto& ids : texts) alone.push_back(RunInPieces(*engine, ids, ids.size()));
  const std::size_t strides[] = {2, 37, 1, 50};
  const auto together = RunTogether(*engine, texts, strides);
  for (std::size_t s = 0; s < texts.size(); ++s) {
    ExpectSameBits(alone[s], together[s], "sequence " + std::to_string(s));
  }
}

TEST_P(SameBits, WithAnyFusions) {
  const auto ids = GoldenFile(GetParam().folder).Ids(5);
  std::optional<std::vector<Logits>> first;
  for (const FusionLevel level : {FusionLevel::kO0, FusionLevel::kO1, FusionLevel::kO3}) {
    runtime::GraphOptions options = Options(GetParam().precision, GetParam().mla);
    options.fusion.level = level;
    const auto engine =
        ToEngine(runtime::LoadModel(GetParam().folder, options, {}), GetParam().precision);
    ASSERT_NE(engine, nullptr);
    const auto logits = RunInPieces(*engine, ids, ids.size());
    if (!first) first = logits;
    ExpectSameBits(*first, logits, "level " + std::to_string(static_cast<int>(level)));
  }
}

const Case kCases[] = {
    {.name = "V3Absorbed", .folder = kTinyV3},
    {.name = "V3AbsorbedF32", .folder = kTinyV3, .precision = Precision::kF32},
    {.name = "V3Expanded", .folder = kTinyV3, .mla = MlaForm::kExpanded},
    {.name = "Qwen3", .folder = kTinyQwen3},
    {.name = "Qwen3F32", .folder = kTinyQwen3, .precision = Precision::kF32},
};
INSTANTIATE_TEST_SUITE_P(Models, SameBits, testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace birkhoff
