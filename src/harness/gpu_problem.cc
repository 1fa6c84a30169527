#include "harness/gpu_problem.h"

#include <bit>

namespace birkhoff::harness {

Result<GpuProblem> GpuProblem::Make(const Buffers& buffers, std::size_t scratch,
                                    std::size_t state) {
  constexpr std::size_t kAlign = 256;
  const auto aligned = [](std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; };
  GpuProblem p;
  std::size_t size = 0;
  for (const std::span<std::byte> host : buffers.Blocks()) {
    p.blocks_.push_back({host, size});
    size += aligned(host.size());
  }
  p.scratch_ = size;
  p.state_ = size + aligned(scratch);
  BK_ASSIGN_OR_RETURN(p.memory_, GpuMemory::Make(p.state_ + state + kAlign));
  for (const Block& block : p.blocks_)
    BK_RETURN_IF_ERROR(CopyToGpu(block.host, p.memory_.data() + block.offset));
  const std::vector<std::byte> poison(p.memory_.size() - p.scratch_, std::byte{0xff});
  BK_RETURN_IF_ERROR(CopyToGpu(poison, p.memory_.data() + p.scratch_));
  return p;
}

Status GpuProblem::Fetch() const {
  BK_RETURN_IF_ERROR(GpuWait());
  for (const Block& block : blocks_)
    BK_RETURN_IF_ERROR(CopyFromGpu(memory_.data() + block.offset, block.host));
  return Status::Ok();
}

std::uint64_t GpuProblem::MovedWord(std::uint64_t word) const {
  for (const Block& block : blocks_) {
    const auto begin = std::bit_cast<std::uint64_t>(block.host.data());
    if (word < begin || word >= begin + block.host.size()) continue;
    return std::bit_cast<std::uint64_t>(memory_.data()) + block.offset + (word - begin);
  }
  return word;
}

}  // namespace birkhoff::harness
