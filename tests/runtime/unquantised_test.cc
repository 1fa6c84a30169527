// The same model from a BF16 checkpoint: what the quantised one stores is exact in BF16, and a
// product does not depend on the format of its weights, so the results are the same bits.
#include <filesystem>

#include "io/checkpoint.h"
#include "io/safetensors_writer.h"
#include "kernels/ref/elements.h"
#include "tests/runtime/tiny_v4.h"
#include "tests/temporary_folder.h"

namespace birkhoff {
namespace {

// Every value of a quantised tensor as BF16; empty for a tensor that is not quantised.
std::vector<bf16> Dequantised(const io::Checkpoint& checkpoint, const std::string& name) {
  const ConstTensorView t = *checkpoint.Find(name);
  if (t.dtype != DType::kF8E4M3 && t.dtype != DType::kI8) return {};
  const ConstTensorView scale = *checkpoint.Find(name.substr(0, name.size() - 6) + "scale");
  const bool fp4 = t.dtype == DType::kI8;
  const WeightMatrix w{.data = t.data,
                       .scale = scale.data,
                       .format = fp4 ? WeightFormat::kMxfp4 : WeightFormat::kFp8Block,
                       .scale_type = scale.dtype,
                       .rows = t.shape[0],
                       .cols = fp4 ? 2 * t.shape[1] : t.shape[1],
                       .block_rows = fp4 ? 1 : 128,
                       .block_cols = fp4 ? 32 : 128};
  std::vector<bf16> values;
  for (std::int64_t r = 0; r < w.rows; ++r) {
    for (std::int64_t c = 0; c < w.cols; ++c) {
      const auto exact = static_cast<float>(ref::Weight(w, r, c));
      values.push_back(bf16(exact));
      EXPECT_EQ(static_cast<float>(values.back()), exact) << name;
    }
  }
  return values;
}

void WriteUnquantisedCopy(const std::string& folder) {
  const auto checkpoint = io::Checkpoint::Open(kTinyV4);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  std::vector<std::vector<bf16>> storage;
  std::vector<io::NamedTensor> tensors;
  for (const std::string& name : checkpoint->names()) {
    if (name.ends_with(".scale")) continue;
    ConstTensorView view = *checkpoint->Find(name);
    storage.push_back(Dequantised(*checkpoint, name));
    if (const auto n = static_cast<std::int64_t>(storage.back().size()); n > 0) {
      view = {storage.back().data(), DType::kBF16, {view.shape[0], n / view.shape[0]}};
    }
    tensors.push_back({name, view});
  }
  const Status written = io::WriteSafetensors(folder + "/model.safetensors", tensors);
  ASSERT_TRUE(written.ok()) << written.ToString();
  std::filesystem::copy(kTinyV4 + "/config.json", folder);
}

TEST(Unquantised, GivesTheBitsOfTheQuantisedCheckpoint) {
  const TemporaryFolder folder;
  WriteUnquantisedCopy(folder.path());
  const Golden golden;
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    const auto quantised = LoadTinyV4({.precision = precision});
    auto plain = Engine::Load({.model = folder.path(), .precision = precision, .context = 4096});
    ASSERT_TRUE(plain.ok()) << plain.status().ToString();
    EXPECT_EQ((*plain)->tokenizer(), nullptr);
    for (const int prompt : {3, 8, 10}) {
      const ScoreOptions options{.logits_last = true, .draft = true};
      const auto a = quantised->Score(golden.Ids(prompt), options);
      const auto b = (*plain)->Score(golden.Ids(prompt), options);
      ASSERT_TRUE(a.ok() && b.ok()) << b.status().ToString();
      EXPECT_EQ(a->logits_last, b->logits_last) << "prompt " << prompt;
      EXPECT_EQ(a->token_logprobs, b->token_logprobs) << "prompt " << prompt;
      EXPECT_EQ(a->draft_logits_last, b->draft_logits_last) << "prompt " << prompt;
    }
  }
}

}  // namespace
}  // namespace birkhoff
