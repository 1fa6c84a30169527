#include "base/files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace birkhoff {
namespace {

struct Descriptor {
  int fd = -1;
  explicit Descriptor(int f) : fd(f) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

// Returns 0 or the errno of the call that failed.
int WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

Status WriteAndSync(const std::string& path, int fd,
                    std::span<const std::span<const std::byte>> pieces) {
  for (const auto piece : pieces) {
    if (const int error = WriteAll(fd, piece)) return ErrnoStatus(path, "write", error);
  }
  if (fsync(fd) != 0) return ErrnoStatus(path, "sync", errno);
  return Status::Ok();
}

}  // namespace

Status ErrnoStatus(std::string_view path, std::string_view what, int error) {
  const auto code = error == ENOENT ? StatusCode::kNotFound : StatusCode::kIoError;
  return {code, fmt::format("{}: cannot {}: {}", path, what, std::strerror(error))};
}

Result<std::string> ReadFile(const std::string& path, std::size_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return ErrnoStatus(path, "open", errno);
  struct stat info = {};
  if (fstat(file.fd, &info) != 0) return ErrnoStatus(path, "stat", errno);
  if (!S_ISREG(info.st_mode)) return Status::IoError(fmt::format("{}: not a regular file", path));

  // Read to the end rather than to the size that stat gave: files in /proc have size 0.
  std::string content;
  for (;;) {
    const std::size_t room = std::min<std::size_t>(max_bytes + 1 - content.size(), 1 << 20);
    const std::size_t used = content.size();
    content.resize(used + room);
    const ssize_t n = read(file.fd, content.data() + used, room);
    const int error = errno;
    content.resize(used + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && error == EINTR) continue;
    if (n < 0) return ErrnoStatus(path, "read", error);
    if (n == 0) return content;
    if (content.size() > max_bytes) {
      return Status::OutOfRange(
          fmt::format("{}: larger than the limit of {} bytes", path, max_bytes));
    }
  }
}

Status WriteFileAtomically(const std::string& path,
                           std::span<const std::span<const std::byte>> pieces) {
  std::string temporary = path + ".XXXXXX";
  const Descriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (file.fd < 0) return ErrnoStatus(temporary, "create", errno);
  Status status = WriteAndSync(temporary, file.fd, pieces);
  if (status.ok() && fchmod(file.fd, 0644) != 0) status = ErrnoStatus(temporary, "chmod", errno);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(path, "rename to", errno);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace birkhoff
