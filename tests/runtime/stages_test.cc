// A model cut into stages, empty ones among them, gives the bits of the whole: where a fusion would
// cross a cut, what it stands for is used.
#include <gmock/gmock.h>

#include <set>

#include "base/files.h"
#include "runtime/loaded_model.h"
#include "runtime/runner.h"
#include "tests/models/checkpoint_source.h"
#include "tests/runtime/tiny_v4.h"

namespace birkhoff {
namespace {

using runtime::LoadedModel;
using runtime::Part;
using runtime::Runner;

constexpr int kTokens = 60;
const std::string kTinyV3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-v3";
const std::string kTinyQwen3 = BIRKHOFF_SOURCE_DIR "/tests/data/tiny-qwen3-fp8";

struct Case {
  std::string name = {};
  std::string folder = {};
  Precision precision = Precision::kBF16;
};

// One stage, ready to step. A tap shows the streams behind the last layer, which has the head.
struct Stage {
  LoadedModel model = {};
  std::string streams = {};  // output that the next one is given
  std::unique_ptr<Runner> runner = {};
};

// A checkpoint that writes down what is read of it.
class ReadSource : public models::CheckpointSource {
 public:
  using CheckpointSource::CheckpointSource;

  Result<ConstTensorView> Find(std::string_view name) const override {
    read_.emplace(name);
    return CheckpointSource::Find(name);
  }
  const std::set<std::string>& read() const { return read_; }

 private:
  mutable std::set<std::string> read_ = {};
};

class Stages : public testing::TestWithParam<Case> {
 protected:
  Stage Load(std::int64_t first, std::int64_t end, bool tap = false) {
    auto model = runtime::LoadModel(GetParam().folder,
                                    {.precision = GetParam().precision,
                                     .context = 128,
                                     .draft = false,
                                     .taps = tap,
                                     .first_layer = first,
                                     .end_layer = end,
                                     .fusion = {.strict = FusionStrict::kError}},
                                    {});
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    if (!model.ok()) return {};
    Stage stage = {.model = *std::move(model),
                   .streams = tap ? "streams." + std::to_string(end - 1) : "streams"};
    auto runner =
        Runner::Make(std::move(stage.model.built.trunk),
                     {.device = HostDevice(), .max_tokens = kTokens, .max_rows = kTokens});
    EXPECT_TRUE(runner.ok()) << runner.status().ToString();
    if (runner.ok()) stage.runner = *std::move(runner);
    return stage;
  }

  // A prompt and three more tokens through the stages: all logits.
  std::vector<float> Run(std::vector<Stage>& stages) {
    std::vector<float> logits;
    std::int64_t past = 0;
    for (const int n : {kTokens - 3, 1, 2}) {
      std::vector<std::int32_t> ids;
      std::vector<std::int32_t> rows;
      for (int i = 0; i < n; ++i) {
        ids.push_back(static_cast<std::int32_t>((past + i) * 37 % 8000));
        rows.push_back(i);
      }
      const Part part = {.past = past, .position = past, .tokens = ids};
      const void* streams = nullptr;
      for (Stage& stage : stages) {
        const Status s = stage.runner->Step({&part, 1}, rows, streams, pool_);
        EXPECT_TRUE(s.ok()) << s.ToString();
        const ops::Operand* handed = stage.runner->Output(stage.streams);
        streams = handed != nullptr ? handed->data : nullptr;
      }
      const auto last = stages.back().runner->logits();
      logits.insert(logits.end(), last.begin(), last.end());
      past += n;
    }
    return logits;
  }

  ThreadPool pool_{1};
};

TEST_P(Stages, GiveTheBitsOfTheWhole) {
  std::vector<Stage> whole;
  whole.push_back(Load(0, -1));
  ASSERT_NE(whole[0].runner, nullptr);
  const std::int64_t layers = whole[0].model.info.layers;
  const std::vector<float> expected = Run(whole);
  for (const std::vector<std::int64_t>& cuts :
       {std::vector<std::int64_t>{0, 2, layers}, {0, 0, 1, 1, layers}, {0, layers, layers}}) {
    std::vector<Stage> stages;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const bool is_last = i + 2 == cuts.size();
      stages.push_back(Load(cuts[i], cuts[i + 1], /*tap=*/cuts[i + 1] == layers && !is_last));
      ASSERT_NE(stages.back().runner, nullptr);
    }
    EXPECT_EQ(Run(stages), expected);
  }
}

TEST_P(Stages, ReadEveryTensorOnce) {
  const auto json = ReadFile(GetParam().folder + "/config.json", runtime::kMaxConfigBytes);
  ASSERT_TRUE(json.ok());
  const auto read = [&](std::int64_t first, std::int64_t end, ModelInfo& info) {
    auto checkpoint = io::Checkpoint::Open(GetParam().folder);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
    const auto source = std::make_shared<ReadSource>(*std::move(checkpoint));
    const auto model = runtime::BuildModel(
        *json, "config.json", source,
        {.context = 128, .draft = false, .first_layer = first, .end_layer = end}, pool_, {});
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    if (model.ok()) info = model->info;
    return source->read();
  };
  ModelInfo whole;
  const std::set<std::string> all = read(0, -1, whole);
  std::set<std::string> together;
  std::int64_t bytes = 0;
  std::size_t count = 0;
  for (const auto& [first, end] : {std::pair<std::int64_t, std::int64_t>{0, 0},
                                   {0, 1},
                                   {1, 3},
                                   {3, whole.layers},
                                   {whole.layers, whole.layers}}) {
    ModelInfo info;
    const std::set<std::string> stage = read(first, end, info);
    if (first == end) {  // the embedding or the head, which its neighbour has too
      EXPECT_FALSE(stage.empty());
      for (const std::string& name : stage) EXPECT_EQ(name.find("layers."), name.npos) << name;
      continue;
    }
    EXPECT_THAT(info.notes, testing::Contains(testing::HasSubstr("tensors of other stages")));
    together.insert(stage.begin(), stage.end());
    count += stage.size();
    bytes += info.weight_bytes;
  }
  EXPECT_EQ(together, all);
  EXPECT_EQ(count, all.size());
  EXPECT_EQ(bytes, whole.weight_bytes);
}

TEST_P(Stages, AreWithinTheModel) {
  for (const auto& [first, end] : {std::pair(2, 1), std::pair(0, 99), std::pair(-1, 2)}) {
    const auto model = runtime::LoadModel(
        GetParam().folder, {.context = 128, .first_layer = first, .end_layer = end}, {});
    EXPECT_EQ(model.status().code(), StatusCode::kOutOfRange);
    EXPECT_THAT(model.status().message(), testing::HasSubstr("stage: expected layers within [0, "));
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const auto& [name, folder] :
       {std::pair("V4", kTinyV4), std::pair("V3", kTinyV3), std::pair("Qwen3", kTinyQwen3)}) {
    cases.push_back({std::string(name) + "BF16", folder, Precision::kBF16});
    cases.push_back({std::string(name) + "F32", folder, Precision::kF32});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(, Stages, testing::ValuesIn(Cases()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace birkhoff
