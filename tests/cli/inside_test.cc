// inspect, explain, verify and bench: what is inside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "birkhoff.h"

namespace birkhoff::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kModel = BIRKHOFF_SOURCE_DIR "/models/tiny-v4";

TEST(Inspect, ListsTensorsConfigAndMemory) {
  const json j = Birkhoff("inspect --json").json();
  EXPECT_EQ(j["model"]["type"], "deepseek_v4");
  EXPECT_EQ(j["config"]["hidden_size"], 256);
  EXPECT_GT(j["tensors"].size(), 100u);
  EXPECT_GT(j["memory"]["graphs"][0]["arena_bytes"].get<std::int64_t>(), 0);
  EXPECT_GT(j["memory"]["graphs"][0]["state_bytes_per_sequence"].get<std::int64_t>(), 0);
  EXPECT_THAT(Birkhoff("inspect").out, HasSubstr("trunk arena"));
}

TEST(Inspect, FiltersTensors) {
  const Outcome o = Birkhoff("inspect --tensors 'layers.0.attn_norm*' --json");
  ASSERT_EQ(o.json()["tensors"].size(), 1u) << o.out;
  EXPECT_EQ(o.json()["tensors"][0]["shape"], json({256}));
  EXPECT_EQ(Birkhoff("inspect --tensors 'nothing*'").exit_code, 2);
}

TEST(Inspect, ListsTensorsOfTypesThatBirkhoffHasNot) {
  const std::string header = R"({"mask": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}})";
  const std::uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += header + std::string(2, '\1');
  const std::filesystem::path folder = testing::TempDir() + "birkhoff_inspect_bool";
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "model.safetensors", std::ios::binary) << file;
  const Outcome o = Birkhoff("inspect --json --tensors '*' --model " + folder.string());
  std::filesystem::remove_all(folder);
  ASSERT_EQ(o.exit_code, 0) << o.err;
  EXPECT_EQ(o.json()["tensors"][0]["dtype"], "BOOL");
  EXPECT_EQ(o.json()["tensors"][0]["bytes"], 2);
}

TEST(Explain, ShowsTheTableOfAnOp) {
  const Outcome o = Birkhoff("explain rms_norm --isa generic");
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_THAT(o.out, HasSubstr("needs avx512"));
  EXPECT_THAT(o.out, HasSubstr("chosen"));
  EXPECT_THAT(Birkhoff("explain nonsense").err, HasSubstr("rms_norm"));
}

TEST(Explain, ShowsGraphs) {
  EXPECT_THAT(Birkhoff("explain --format dot --no-draft").out, StartsWith("digraph"));
  EXPECT_THAT(Birkhoff("explain").out, HasSubstr("kernels of draft"));
  const json j = Birkhoff("explain --format json").json();
  ASSERT_EQ(j.size(), 2u);
  EXPECT_EQ(j[0]["graph"], "trunk");
  EXPECT_GT(j[0]["nodes"].size(), 100u);
  EXPECT_FALSE(j[0]["choices"][0]["table"].empty());
}

// tests/data/explain/<model>.json is `birkhoff explain --model ... --json`, the "fusion" of every
// graph.
TEST(Explain, SaysWhatWasFused) {
  for (const std::string model :
       {"models/tiny-v4", "tests/data/tiny-v3", "tests/data/tiny-qwen3-fp8"}) {
    const std::string root = BIRKHOFF_SOURCE_DIR "/";
    const json j = Birkhoff("explain --json --fusion.strict --model " + root + model).json();
    std::ifstream file(root + "tests/data/explain" + model.substr(model.rfind('/')) + ".json");
    const json golden = json::parse(file);
    ASSERT_EQ(j.size(), golden.size());
    for (std::size_t g = 0; g < golden.size(); ++g) {
      EXPECT_EQ(j[g]["graph"], golden[g]["graph"]);
      EXPECT_EQ(j[g]["fusion"], golden[g]["fusion"])
          << json::diff(j[g]["fusion"], golden[g]["fusion"]);
    }
  }
  const Outcome text = Birkhoff("explain --fusion.disable=mhc_first");
  EXPECT_THAT(text.out, HasSubstr("mhc_boundary         11/11    same_bits"));
  EXPECT_THAT(text.out, HasSubstr("mhc_first            off      disabled"));
}

TEST(Explain, FusionFlagsAndTheirTwins) {
  EXPECT_THAT(Birkhoff("explain", "", "BIRKHOFF_FUSION=O0").out,
              HasSubstr("mhc_boundary         off      of a higher level"));
  EXPECT_THAT(Birkhoff("explain", "", "BIRKHOFF_FUSION_DISABLE=mhc_first,norm_rope").out,
              HasSubstr("norm_rope            off      disabled"));
  const Outcome unknown = Birkhoff("explain --fusion.only=mhc_frist");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("no recipe \"mhc_frist\"; there are "));
  EXPECT_THAT(Birkhoff("explain --fusion.strict '--fusion.disable=norm_rope, mhc_boundary'").out,
              HasSubstr("mhc_boundary_norm    off      needs mhc_boundary, which is off"));
  const std::string nowhere =
      "fusion: norm_rope_write was asked for and matches nothing in this model";
  EXPECT_THAT(Birkhoff("explain --fusion.enable=norm_rope_write").err,
              HasSubstr("warning: " + nowhere));
  EXPECT_THAT(Birkhoff("explain --fusion.only=mhc_boundary_norm").err,
              HasSubstr("mhc_boundary_norm was asked for and is off: needs mhc_boundary, which"));
  const Outcome strict = Birkhoff("explain --fusion.strict --fusion.enable=norm_rope_write");
  EXPECT_EQ(strict.exit_code, 2);
  EXPECT_THAT(strict.err, HasSubstr(nowhere));
  EXPECT_EQ(Birkhoff("explain --fusion=O7").exit_code, 2);
}

TEST(Verify, HoldsKernelsAgainstTheirDefinitions) {
  const json j = Birkhoff("verify --op rms_norm --json --all").json();
  EXPECT_EQ(j["ok"], true);
  EXPECT_FALSE(j["kernels"].empty());
  EXPECT_FALSE(j["cases"].empty());
  EXPECT_THAT(Birkhoff("verify --op rms_norm").out, HasSubstr("worst/bound"));
  EXPECT_THAT(Birkhoff("verify --op nonsense").err, HasSubstr("rms_norm"));
}

TEST(Verify, ListsRefusals) {
  const Outcome o = Birkhoff("verify --op rms_norm --isa generic");
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_THAT(o.out, HasSubstr("refused: needs avx512"));
}

// A golden.safetensors with one prompt of one token.
std::string Golden(std::int32_t id, const std::vector<float>& logits) {
  const std::size_t end = 4 + logits.size() * sizeof(float);
  const json header = {
      {"0.ids", {{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {0, 4}}}},
      {"0.logits_last",
       {{"dtype", "F32"}, {"shape", {logits.size()}}, {"data_offsets", {4, end}}}}};
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += text;
  file.append(reinterpret_cast<const char*>(&id), sizeof(id));
  file.append(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
  return file;
}

TEST(Verify, HoldsACheckpointAgainstItsGoldens) {
  std::vector<float> logits =
      Birkhoff("score --ids 7 --logits --precision f32").json()["logits_last"];
  const std::string path = WriteTemporary("golden", Golden(7, logits));
  const std::string command =
      "verify --model " + std::string(kModel) + " --precision f32 --json --golden " + path;
  const Outcome same = Birkhoff(command);
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_EQ(same.json()["ok"], true);

  logits[100] += 0.002f;
  WriteTemporary("golden", Golden(7, logits));
  const Outcome different = Birkhoff(command);
  EXPECT_EQ(different.exit_code, 1) << different.err;
  EXPECT_EQ(different.json()["ok"], false);
  EXPECT_THAT(different.json()["f32"][0]["note"].get<std::string>(), HasSubstr("worst at 100"));

  logits.pop_back();
  WriteTemporary("golden", Golden(7, logits));
  EXPECT_EQ(Birkhoff(command).exit_code, 1);
  WriteTemporary("golden", "not a safetensors file");
  EXPECT_EQ(Birkhoff(command).exit_code, 2);
  std::remove(path.c_str());
}

TEST(Bench, TimesOps) {
  const Outcome o = Birkhoff("bench ops --op rms_norm --seconds 0.001 --json");
  ASSERT_EQ(o.exit_code, 0) << o.err;
  const json j = json::parse(o.out.substr(0, o.out.find('\n')));
  EXPECT_EQ(j["op"], "rms_norm");
  EXPECT_GT(j["us"].get<double>(), 0);
  EXPECT_GT(j["pct_bandwidth"].get<double>(), 0);
  EXPECT_NE(j["commit"], "");
  EXPECT_EQ(Birkhoff("bench ops --op nonsense").exit_code, 2);
}

TEST(Bench, TimesModels) {
  const std::string dummy = std::string("bench model --dummy ") + kModel + "/config.json ";
  const json j = Birkhoff(dummy +
                          "--weights bf16 --prompt-tokens 8 --decode-tokens 4 "
                          "--repetitions 2 --context 64 --profile --json")
                     .json();
  EXPECT_GT(j["prefill_tokens_per_s"]["median"].get<double>(), 0);
  EXPECT_GT(j["decode_tokens_per_s"]["median"].get<double>(), 0);
  EXPECT_GT(j["decode_fraction"].get<double>(), 0);
  EXPECT_GT(j["prefill_fraction"].get<double>(), 0);
  EXPECT_FALSE(j["ops"].empty());
  const Outcome small = Birkhoff(dummy + "--context 4", "", "BIRKHOFF_MODEL=/no/such");
  EXPECT_EQ(small.exit_code, 2);
  EXPECT_THAT(small.err, HasSubstr("a context of")) << "BIRKHOFF_MODEL must not count";
  EXPECT_EQ(Birkhoff(dummy + "--model /no/such").exit_code, 2);
}

}  // namespace
}  // namespace birkhoff::cli
