// A file mapped into memory, read only.
//
// If another process shortens the file while it is mapped, a read beyond the new end raises SIGBUS
// and ends this process: no check can prevent that. Replace a checkpoint by renaming a new file
// over it, which leaves the mapped one intact, never by truncating or rewriting it in place. What
// can be done is done: the size is read again after mapping, and CheckSize() tells a changed file.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "birkhoff/status.h"

namespace birkhoff {

class MappedFile {
 public:
  // An empty file maps to an empty span.
  //
  // Errors   kNotFound  no such file
  //          kIoError   not a regular file, no permission, or the mapping failed
  static Result<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }

  // Page aligned; valid as long as this object, also after it was moved from.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Asks the kernel to read the whole file ahead.
  void Prefetch() const;

  // kIoError when the file no longer has the size that was mapped.
  Status CheckSize() const;

 private:
  std::string path_ = {};
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int fd_ = -1;
};

}  // namespace birkhoff
