#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>

#include "io/safetensors_writer.h"
#include "temporary_folder.h"

namespace birkhoff::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A file with this length in front of the header and this many bytes of data.
std::string File(std::uint64_t length, const std::string& header, std::size_t data) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data, 'd');
}

std::string File(const std::string& header, std::size_t data) {
  return File(header.size(), header, data);
}

// One tensor `t` with these fields.
std::string Tensor(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

Result<SafetensorsHeader> Parse(const std::string& file) {
  return ParseSafetensors(std::as_bytes(std::span(file)), "f");
}

TEST(ParseSafetensors, ReadsTensorsInTheOrderOfTheFile) {
  const auto header = Parse(File(R"({"b":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},
    "__metadata__":{"format":"pt"},
    "a":{"shape":[2],"data_offsets":[0,4],"dtype":"BF16"}}   )",
                                 12));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[0].dtype, DType::kBF16);
  EXPECT_EQ(header->tensors[1].shape, (Shape{1, 2}));
  EXPECT_EQ(header->tensors[1].end - header->tensors[1].begin, 8u);
  EXPECT_EQ(header->tensors[0].end, header->tensors[1].begin);
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(ParseSafetensors, TakesScalarsEmptyTensorsAndNone) {
  EXPECT_TRUE(Parse(File("{}", 0)).ok());
  const auto header = Parse(File(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
    "e":{"dtype":"F32","shape":[3,0],"data_offsets":[8,8]}})",
                                 8));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header->tensors[0].shape.rank(), 0);
  EXPECT_EQ(header->tensors[1].shape, (Shape{3, 0}));
}

TEST(ParseSafetensors, KnowsEveryTypeOfTheFormat) {
  for (const char* type : {"F4",      "F6_E2M3", "F6_E3M2", "BOOL", "U8",  "I8",   "F8_E5M2",
                           "F8_E4M3", "F8_E8M0", "I16",     "U16",  "F16", "BF16", "I32",
                           "U32",     "F32",     "F64",     "I64",  "U64", "C64"}) {
    const std::string header =
        Tensor(std::string("\"dtype\":\"") + type + "\",\"shape\":[0],\"data_offsets\":[0,0]");
    EXPECT_TRUE(Parse(File(header, 0)).ok()) << type;
  }
  // Eight elements of four bits.
  EXPECT_TRUE(Parse(File(Tensor(R"("dtype":"F4","shape":[2,4],"data_offsets":[0,4])"), 4)).ok());
}

struct Bad {
  std::string file = {};
  std::string message = {};
};

void ExpectRefused(const Bad& c) {
  const auto header = Parse(c.file);
  EXPECT_EQ(header.status().code(), StatusCode::kInvalidArgument) << c.message;
  EXPECT_THAT(header.status().message(), HasSubstr("f: "));
  EXPECT_THAT(header.status().message(), HasSubstr(c.message));
}

TEST(ParseSafetensors, RefusesABadEnvelope) {
  const Bad cases[] = {
      {"", "0 bytes, at least 8 expected"},
      {"1234567", "7 bytes, at least 8 expected"},
      {File(0, "{}", 0), "the header has length 0"},
      {File(100'000'001, "{}", 0), "the header has length 100000001, the limit is 100000000"},
      {File(~0ull, "{}", 0), "the header has length 18446744073709551615, the limit"},
      {File(3, "{}", 0), "the header has length 3, but only 2 bytes follow"},
      {File(" {}", 0), "begins with byte 0x20, expected '{'"},
      {File("[]", 0), "begins with byte 0x5b, expected '{'"},
      {File("{", 0), "not JSON: parse error"},
      {File("{} {}", 0), "not JSON: parse error"},
      {File(std::string("{}\0\0", 4), 0), "byte 2 is NUL"},
      {File("{\"\xff\xfe\":{}}", 0), "ill-formed UTF-8"},
      {File("{}", 1), "1 trailing bytes after the last tensor, which ends at byte 0"},
  };
  for (const Bad& c : cases) ExpectRefused(c);
}

TEST(ParseSafetensors, RefusesABadStructure) {
  const std::string good = R"("dtype":"U8","shape":[1],"data_offsets":[0,1])";
  const Bad cases[] = {
      {File(R"({"t":1})", 0), "tensor 't': is 1, expected an object"},
      {File(R"({"t":[]})", 0), "tensor 't': is an array, expected an object"},
      {File("{\"t\":{" + good + "},\"t\":{" + good + "}}", 1), "duplicate key 't'"},
      {File(R"({"__metadata__":{},"__metadata__":{}})", 0), "duplicate key '__metadata__'"},
      {File(R"({"__metadata__":{"a":"b","a":"b"}})", 0), "__metadata__: duplicate key 'a'"},
      {File(R"({"__metadata__":{"a":1}})", 0), "__metadata__: 'a' is 1, expected a string"},
      {File(R"({"__metadata__":{"a":{}}})", 0),
       "__metadata__: 'a' is an object, expected a string"},
      {File(Tensor(R"("shape":[],"data_offsets":[0,0])"), 0), "tensor 't': 'dtype' is missing"},
      {File(Tensor(R"("dtype":"U8","data_offsets":[0,0])"), 0), "tensor 't': 'shape' is missing"},
      {File(Tensor(R"("dtype":"U8","shape":[])"), 0), "tensor 't': 'data_offsets' is missing"},
      {File(Tensor(good + R"(,"shape":[1])"), 1), "tensor 't': duplicate key 'shape'"},
      {File(Tensor(good + R"(,"dtype":"U8")"), 1), "tensor 't': duplicate key 'dtype'"},
      {File(Tensor(good + R"(,"data_offsets":[0,1])"), 1), "duplicate key 'data_offsets'"},
      {File(Tensor(good + R"(,"stride":[1])"), 1), "'stride' holds an array, expected no such key"},
      {File(Tensor(R"("dtype":["U8"])"), 0), "'dtype' holds an array, expected a string"},
      {File(Tensor(R"("dtype":7)"), 0), "'dtype' holds 7, expected a string"},
      {File(Tensor(R"("shape":[[1]])"), 0), "'shape' holds an array, expected an array of non-neg"},
      {File(Tensor(R"("shape":[-1])"), 0), "'shape' holds -1, expected an array of non-negative"},
      {File(Tensor(R"("shape":[1.5])"), 0), "'shape' holds 1.5, expected"},
      {File(Tensor(R"("shape":[18446744073709551616])"), 0), "'shape' holds 18446744073709551616"},
      {File(Tensor(R"("shape":[true])"), 0), "'shape' holds true, expected"},
      {File(Tensor(R"("shape":null)"), 0), "'shape' holds null, expected"},
      {File("{\"a\":" + std::string(1 << 20, '['), 0), "tensor 'a': is an array"},
      {File("{\"a\":{\"b\":{\"c\":{", 0), "tensor 'a': 'b' holds an object"},
  };
  for (const Bad& c : cases) ExpectRefused(c);
}

TEST(ParseSafetensors, RefusesSizesThatDoNotFit) {
  const Bad cases[] = {
      {File(Tensor(R"("dtype":"F9","shape":[],"data_offsets":[0,0])"), 0), "unknown dtype 'F9'"},
      {File(Tensor(R"("dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1])"), 1),
       "tensor 't': shape [1, 1, 1, 1, 1] has rank 5, at most 4"},
      // The product is 4 modulo 2^64.
      {File(
           Tensor(R"("dtype":"U8","shape":[4194305,4194305,211106198978564],"data_offsets":[0,4])"),
           4),
       "shape [4194305, 4194305, 211106198978564] of U8 is not a whole number of bytes"},
      {File(Tensor(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])"), 0),
       "shape [4611686018427387904] of F32 is not"},
      {File(Tensor(R"("dtype":"U8","shape":[9223372036854775808,0],"data_offsets":[0,0])"), 0),
       "shape [9223372036854775808, 0] of U8 is not"},
      {File(Tensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])"), 1),
       "shape [3] of F4 is not"},
      {File(Tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4),
       "shape [2] of F32 needs 8 bytes, data_offsets [0, 4] give 4"},
      {File(Tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), 8),
       "shape [1] of F32 needs 4 bytes, data_offsets [0, 8] give 8"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[8,4])"), 8),
       "data_offsets [8, 4] are reversed"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[-4,0])"), 8), "holds -4"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[18446744073709551612,0])"), 8),
       "data_offsets [18446744073709551612, 0] are reversed"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0])"), 4),
       "'data_offsets' has 1 entries, expected 2"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0,4,8])"), 4),
       "'data_offsets' has 3 entries, expected 2"},
      {File(Tensor(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])"), 3),
       "tensor 't': data_offsets [0, 4] end beyond the 3 bytes of data: truncated?"},
  };
  for (const Bad& c : cases) ExpectRefused(c);
}

TEST(ParseSafetensors, RefusesHolesAndOverlaps) {
  const auto two = [](const char* a, const char* b, const char* shape_b) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
           R"(},"b":{"dtype":"U8","shape":)" + shape_b + R"(,"data_offsets":)" + b + "}}";
  };
  const Bad cases[] = {
      {File(two("[0,4]", "[5,9]", "[4]"), 9),
       "tensor 'b': begins at byte 5 of the data, but tensor 'a' ends at 4: hole"},
      {File(two("[0,4]", "[3,7]", "[4]"), 7),
       "tensor 'b': begins at byte 3 of the data, but tensor 'a' ends at 4: overlap"},
      {File(two("[0,4]", "[0,4]", "[4]"), 4), "overlap"},
      {File(two("[0,4]", "[2,2]", "[0]"), 4), "tensor 'b': begins at byte 2"},
      {File(two("[1,5]", "[5,9]", "[4]"), 9),
       "tensor 'a': begins at byte 1 of the data, but the header ends at 0: hole"},
      {File(two("[0,4]", "[4,8]", "[4]"), 11),
       "3 trailing bytes after the last tensor, which ends at byte 8"},
  };
  for (const Bad& c : cases) ExpectRefused(c);
}

TEST(SafetensorsFile, ReadsWhatTheWriterWrote) {
  const TemporaryFolder folder;
  const std::array<float, 6> floats = {1, 2, 3, 4, 5, 6};
  const std::array<std::uint8_t, 3> bytes = {7, 8, 9};
  const NamedTensor tensors[] = {
      {"bytes", {bytes.data(), DType::kU8, {3}}},
      {"floats", {floats.data(), DType::kF32, {2, 3}}},
      {"none", {nullptr, DType::kF32, {0, 3}}},
  };
  const std::string path = folder.Path("x.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"made_by", "test"}}).ok());

  auto opened = SafetensorsFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  const SafetensorsFile file = std::move(opened).value();
  EXPECT_EQ(file.metadata().at("made_by"), "test");
  const auto view = file.Find("floats");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->shape, (Shape{2, 3}));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view->data) % 4, 0u);
  EXPECT_EQ(std::memcmp(view->data, floats.data(), sizeof floats), 0);
  EXPECT_EQ(std::memcmp(file.Find("bytes")->data, bytes.data(), 3), 0);
  EXPECT_EQ(file.Find("none")->bytes(), 0);
  EXPECT_EQ(file.Find("other").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(file.Find("other").status().message(), HasSubstr("x.safetensors: no tensor 'other'"));
}

TEST(SafetensorsFile, ListsATypeItCannotGive) {
  const TemporaryFolder folder;
  const auto path =
      folder.Write("x", File(Tensor(R"("dtype":"F64","shape":[1],"data_offsets":[0,8])"), 8));
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(file->tensors()[0].dtype_name, "F64");
  const auto view = file->Find("t");
  EXPECT_EQ(view.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(view.status().message(), path + ": tensor 't': dtype F64 is not supported");
}

TEST(SafetensorsFile, NamesATruncatedFile) {
  const TemporaryFolder folder;
  const std::string good =
      std::string(BIRKHOFF_SOURCE_DIR) + "/models/tiny-v4/model-00001-of-00002.safetensors";
  const std::string path = folder.Path("cut.safetensors");
  std::filesystem::copy_file(good, path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  const auto file = SafetensorsFile::Open(path);
  EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(file.status().message(), HasSubstr(path + ": tensor '"));
  EXPECT_THAT(file.status().message(), HasSubstr("truncated?"));
}

TEST(WriteSafetensors, RefusesNamesThatCannotBeRead) {
  const TemporaryFolder folder;
  const std::string path = folder.Path("x");
  const NamedTensor twice[] = {{"a", {nullptr, DType::kU8, {0}}},
                               {"a", {nullptr, DType::kU8, {0}}}};
  EXPECT_THAT(WriteSafetensors(path, twice).message(), HasSubstr("tensor name 'a' is taken"));
  const NamedTensor reserved[] = {{"__metadata__", {nullptr, DType::kU8, {0}}}};
  EXPECT_THAT(WriteSafetensors(path, reserved).message(), HasSubstr("'__metadata__' is taken"));
  const NamedTensor binary[] = {{"\xff", {nullptr, DType::kU8, {0}}}};
  EXPECT_THAT(WriteSafetensors(path, binary).message(), HasSubstr("invalid UTF-8"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace birkhoff::io
