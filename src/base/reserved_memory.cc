#include "base/reserved_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace birkhoff {

ReservedMemory::ReservedMemory(ReservedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

ReservedMemory& ReservedMemory::operator=(ReservedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

ReservedMemory::~ReservedMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

Result<ReservedMemory> ReservedMemory::Make(std::size_t bytes, Pages pages) {
  ReservedMemory m;
  if (bytes == 0) return m;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    return Status::OutOfRange(fmt::format("cannot reserve {:.1f} GiB of address space: {}",
                                          static_cast<double>(bytes) / (1 << 30),
                                          std::strerror(errno)));
  }
  if (pages == Pages::kLarge) (void)madvise(p, bytes, MADV_HUGEPAGE);  // a wish: no is fine
  m.data_ = static_cast<std::byte*>(p);
  m.size_ = bytes;
  return m;
}

}  // namespace birkhoff
