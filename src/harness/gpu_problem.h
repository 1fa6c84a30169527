// A problem's memory on the GPU.
//
// A case makes its problem on the host. Here all its blocks, guards included, get a place in one
// GPU allocation, and the pointers in the argument struct are moved there: argument structs are
// plain, so every aligned word that points into a block is such a pointer. What a kernel wrote
// comes back into the host's blocks, where it is held against the definition as for any other
// kernel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "harness/suite.h"
#include "tensor/gpu.h"

namespace birkhoff::harness {

class GpuProblem {
 public:
  // Uploads all blocks and makes room for poisoned scratch and state.
  static Result<GpuProblem> Make(const Buffers& buffers, std::size_t scratch, std::size_t state);

  template <class Args>
  Args Moved(const Args& args) const {
    static_assert(std::is_trivially_copyable_v<Args> && sizeof(Args) % 8 == 0);
    std::array<std::uint64_t, sizeof(Args) / 8> words;
    std::memcpy(words.data(), &args, sizeof(Args));
    for (std::uint64_t& word : words) word = MovedWord(word);
    Args moved;
    std::memcpy(static_cast<void*>(&moved), words.data(), sizeof(Args));
    return moved;
  }

  void* scratch() const { return memory_.data() + scratch_; }
  void* state() const { return memory_.data() + state_; }

  // Waits and copies every block back.
  Status Fetch() const;

 private:
  std::uint64_t MovedWord(std::uint64_t word) const;

  struct Block {
    std::span<std::byte> host = {};
    std::size_t offset = 0;
  };
  std::vector<Block> blocks_ = {};
  GpuMemory memory_ = {};
  std::size_t scratch_ = 0;
  std::size_t state_ = 0;
};

}  // namespace birkhoff::harness
