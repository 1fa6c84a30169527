#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string_view>
#include <utility>

#include "temporary_folder.h"

namespace birkhoff {
namespace {

using testing::HasSubstr;

std::string_view Text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, ShowsTheBytesAlsoAfterAMove) {
  const TemporaryFolder folder;
  auto file = MappedFile::Open(folder.Write("file", "content"));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const auto* data = file->bytes().data();
  file->Prefetch();
  MappedFile moved = std::move(file).value();
  EXPECT_EQ(Text(moved), "content");
  EXPECT_EQ(moved.bytes().data(), data);
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_EQ(Text(assigned), "content");
  EXPECT_TRUE(assigned.CheckSize().ok());
}

TEST(MappedFile, MapsAnEmptyFile) {
  const TemporaryFolder folder;
  const auto file = MappedFile::Open(folder.Write("file", ""));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(MappedFile::Open(folder.Path("none")).status().code(), StatusCode::kNotFound);
  ASSERT_EQ(mkfifo(folder.Path("fifo").c_str(), 0600), 0);
  for (const auto& path : {folder.path(), folder.Path("fifo")}) {
    const auto file = MappedFile::Open(path);
    EXPECT_EQ(file.status().code(), StatusCode::kIoError);
    EXPECT_EQ(file.status().message(), path + ": not a regular file");
  }
}

TEST(MappedFile, TellsAChangedSize) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "content");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path, 3);
  EXPECT_EQ(file->CheckSize().code(), StatusCode::kIoError);
  EXPECT_THAT(file->CheckSize().message(), HasSubstr("7 bytes were mapped, now it has 3"));
}

TEST(MappedFile, KeepsTheOldContentWhenTheFileIsReplaced) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "content");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  std::filesystem::rename(folder.Write("new", "x"), path);
  EXPECT_EQ(Text(*file), "content");
  EXPECT_TRUE(file->CheckSize().ok());
}

}  // namespace
}  // namespace birkhoff
