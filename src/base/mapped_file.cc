#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/files.h"

namespace birkhoff {

Result<MappedFile> MappedFile::Open(const std::string& path) {
  MappedFile file;
  file.path_ = path;
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer.
  file.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) return ErrnoStatus(path, "open", errno);
  struct stat info = {};
  if (fstat(file.fd_, &info) != 0) return ErrnoStatus(path, "stat", errno);
  if (!S_ISREG(info.st_mode)) return Status::IoError(fmt::format("{}: not a regular file", path));
  file.size_ = static_cast<std::size_t>(info.st_size);
  if (file.size_ == 0) return file;

  void* data = mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, file.fd_, 0);
  if (data == MAP_FAILED) {
    const int error = errno;
    file.size_ = 0;
    return ErrnoStatus(path, "map", error);
  }
  file.data_ = static_cast<const std::byte*>(data);
  BK_RETURN_IF_ERROR(file.CheckSize());
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) close(fd_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  return *this;
}

void MappedFile::Prefetch() const {
  // Only a hint: a kernel that ignores it is slower, not wrong.
  if (data_ != nullptr) (void)madvise(const_cast<std::byte*>(data_), size_, MADV_WILLNEED);
}

Status MappedFile::CheckSize() const {
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return ErrnoStatus(path_, "stat", errno);
  if (static_cast<std::size_t>(info.st_size) != size_) {
    return Status::IoError(
        fmt::format("{}: changed while in use: {} bytes were mapped, now it has {}", path_, size_,
                    info.st_size));
  }
  return Status::Ok();
}

}  // namespace birkhoff
