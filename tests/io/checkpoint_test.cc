#include "io/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "io/safetensors_writer.h"
#include "temporary_folder.h"

namespace birkhoff::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kIndex = "model.safetensors.index.json";

// A shard with byte tensors of these names, each of two elements.
void WriteShard(const TemporaryFolder& folder, const std::string& file,
                std::initializer_list<std::string> names) {
  static constexpr std::uint8_t kBytes[2] = {1, 2};
  std::vector<NamedTensor> tensors;
  for (const auto& name : names) tensors.push_back({name, {kBytes, DType::kU8, {2}}});
  ASSERT_TRUE(WriteSafetensors(folder.Path(file), tensors).ok());
}

void ExpectError(const TemporaryFolder& folder, StatusCode code, const std::string& message) {
  const auto checkpoint = Checkpoint::Open(folder.path());
  EXPECT_EQ(checkpoint.status().code(), code) << checkpoint.status().ToString();
  EXPECT_THAT(checkpoint.status().message(), HasSubstr(message));
}

TEST(Checkpoint, OpensASingleFile) {
  const TemporaryFolder folder;
  WriteShard(folder, "model.safetensors", {"b", "a"});
  const auto checkpoint = Checkpoint::Open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_THAT(checkpoint->names(), ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint->bytes(), 4);
  EXPECT_EQ(checkpoint->FileOf("a"), folder.Path("model.safetensors"));
  EXPECT_TRUE(checkpoint->CheckSizes().ok());
}

TEST(Checkpoint, OpensTheShardsOfAnIndex) {
  const TemporaryFolder folder;
  WriteShard(folder, "s1", {"a", "c"});
  WriteShard(folder, "s2", {"b"});
  folder.Write(kIndex,
               R"({"metadata":{"total_size":6},"weight_map":{"a":"s1","b":"s2","c":"s1"}})");
  auto opened = Checkpoint::Open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  const Checkpoint checkpoint = std::move(opened).value();
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(checkpoint.FileOf("b"), folder.Path("s2"));
  EXPECT_EQ(checkpoint.Find("b")->shape, Shape{2});
  EXPECT_EQ(checkpoint.Find("d").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(checkpoint.FileOf("d"), folder.path());
  checkpoint.Prefetch();
  std::filesystem::resize_file(folder.Path("s2"), 5);
  EXPECT_EQ(checkpoint.CheckSizes().code(), StatusCode::kIoError);
}

TEST(Checkpoint, OpensTheModelInTheTree) {
  const auto checkpoint = Checkpoint::Open(BIRKHOFF_SOURCE_DIR "/models/tiny-v4");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(checkpoint->names().size(), 932u);
  EXPECT_EQ(checkpoint->bytes(), 21617046);
  EXPECT_EQ(checkpoint->Find("embed.weight")->dtype, DType::kBF16);
  EXPECT_EQ(checkpoint->Find("layers.1.ffn.experts.3.w1.scale")->dtype, DType::kF8E8M0);
}

TEST(Checkpoint, NamesWhatAFolderLacks) {
  const TemporaryFolder folder;
  ExpectError(folder, StatusCode::kNotFound,
              "neither model.safetensors nor model.safetensors.index.json is there");
  WriteShard(folder, "s1", {"a"});
  folder.Write(kIndex, R"({"weight_map":{"a":"s1","b":"s2"}})");
  ExpectError(folder, StatusCode::kNotFound, "tensor 'b' is in shard 's2', which does not exist");
}

TEST(Checkpoint, RefusesAShardOutsideItsFolder) {
  for (const char* shard :
       {"../s1", "/etc/passwd", "sub/s1", "..", ".", "", "a\\\\b", "s\\u00001"}) {
    const TemporaryFolder folder;
    folder.Write(kIndex, std::string(R"({"weight_map":{"a":")") + shard + "\"}}");
    ExpectError(folder, StatusCode::kInvalidArgument, "shard of tensor 'a' is \"");
    ExpectError(folder, StatusCode::kInvalidArgument, "expected the name of a file beside it");
  }
}

TEST(Checkpoint, RefusesAnIndexThatIsNone) {
  struct Bad {
    const char* index = "";
    const char* message = "";
  };
  const Bad cases[] = {
      {"", "parse error"},
      {"[]", "no object 'weight_map'"},
      {"{}", "no object 'weight_map'"},
      {R"({"weight_map":["a"]})", "no object 'weight_map'"},
      {R"({"weight_map":{"a":1}})", "shard of tensor 'a' is 1, expected the name"},
      {R"({"weight_map":{"a":"s1","a":"s2"}})", "duplicate key 'a'"},
  };
  for (const Bad& c : cases) {
    const TemporaryFolder folder;
    folder.Write(kIndex, c.index);
    ExpectError(folder, StatusCode::kInvalidArgument, c.message);
  }
}

TEST(Checkpoint, RefusesAnIndexThatDisagreesWithItsShards) {
  const TemporaryFolder folder;
  WriteShard(folder, "s1", {"a"});
  WriteShard(folder, "s2", {"b"});
  folder.Write(kIndex, R"({"weight_map":{"a":"s1","b":"s2","c":"s1"}})");
  ExpectError(folder, StatusCode::kInvalidArgument, "tensor 'c' is not in its shard 's1'");
  folder.Write(kIndex, R"({"weight_map":{"a":"s1","b":"s1"}})");
  ExpectError(folder, StatusCode::kInvalidArgument, "tensor 'b' is not in its shard 's1'");
  WriteShard(folder, "s2", {"b", "a"});
  folder.Write(kIndex, R"({"weight_map":{"a":"s1","b":"s2"}})");
  ExpectError(folder, StatusCode::kInvalidArgument,
              "/s2: tensor 'a' is also in " + folder.Path("s1"));
}

TEST(Checkpoint, NamesTheMalformedShard) {
  const TemporaryFolder folder;
  folder.Write("s1", "nonsense that is no shard");
  folder.Write(kIndex, R"({"weight_map":{"a":"s1"}})");
  ExpectError(folder, StatusCode::kInvalidArgument, folder.Path("s1") + ": the header has length");
}

}  // namespace
}  // namespace birkhoff::io
