#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "temporary_folder.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

TEST(ReadFile, ReadsAWholeFileOfAnySize) {
  const TemporaryFolder folder;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, (std::size_t{1} << 20) + 1}) {
    const std::string content(size, 'x');
    const auto read = ReadFile(folder.Write("file", content), size);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, content);
  }
}

TEST(ReadFile, RefusesMoreThanTheLimit) {
  const TemporaryFolder folder;
  const auto read = ReadFile(folder.Write("file", "12345"), 4);
  EXPECT_EQ(read.status().code(), StatusCode::kOutOfRange);
  EXPECT_THAT(read.status().message(), HasSubstr("limit of 4 bytes"));
}

TEST(ReadFile, NamesAMissingFileAndAFolder) {
  const TemporaryFolder folder;
  const auto missing = ReadFile(folder.Path("none"), 10);
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr("/none: cannot open: No such file"));
  const auto is_folder = ReadFile(folder.path(), 10);
  EXPECT_EQ(is_folder.status().code(), StatusCode::kIoError);
  EXPECT_THAT(is_folder.status().message(), HasSubstr("not a regular file"));
}

Status Write(const std::string& path, std::string_view a, std::string_view b) {
  const std::array pieces = {std::as_bytes(std::span(a)), std::as_bytes(std::span(b))};
  return WriteFileAtomically(path, pieces);
}

TEST(WriteFileAtomically, ReplacesAFileAndLeavesNothingElse) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "something longer than the new content");
  ASSERT_TRUE(Write(path, "ab", "c").ok());
  EXPECT_EQ(*ReadFile(path, 10), "abc");
  const auto entries = std::filesystem::directory_iterator(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(WriteFileAtomically, FailsWithoutTracesWhereTheTargetIsAFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.Path("target"));
  folder.Write("target/full", "");
  const Status status = Write(folder.Path("target"), "a", "b");
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("cannot rename to"));
  const auto entries = std::filesystem::directory_iterator(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(WriteFileAtomically, NamesAFolderThatIsNotThere) {
  const TemporaryFolder folder;
  EXPECT_EQ(Write(folder.Path("none/file"), "a", "b").code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace birkhoff
