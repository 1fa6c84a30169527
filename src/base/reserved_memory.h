// Address space that turns into zeroed memory page by page as it is touched.
#pragma once

#include <cstddef>

#include "birkhoff/status.h"

namespace birkhoff {

// Movable owner of an anonymous mapping, aligned to a page. Reserving more than the machine has is
// fine: a sequence's state is laid out for the longest context and pays for what it uses.
class ReservedMemory {
 public:
  ReservedMemory() = default;
  ReservedMemory(ReservedMemory&& other) noexcept;
  ReservedMemory& operator=(ReservedMemory&& other) noexcept;
  ~ReservedMemory();

  // Pages of 2 MiB where the system gives them, for memory that is used as a whole: kernels walk
  // over it in strides that would miss the TLB at every step.
  enum class Pages { kSmall, kLarge };

  // Errors  kOutOfRange  the system does not grant that much address space; names the size.
  static Result<ReservedMemory> Make(std::size_t bytes, Pages pages = Pages::kSmall);

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace birkhoff
