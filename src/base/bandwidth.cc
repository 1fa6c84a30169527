#include "birkhoff/bandwidth.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "birkhoff/device.h"

namespace birkhoff {

namespace {

using Line = std::uint64_t __attribute__((vector_size(64)));  // a cache line

constexpr std::size_t kPieceBytes = std::size_t{2} << 20;  // one huge page
constexpr std::int64_t kPieceLines = kPieceBytes / sizeof(Line);

// Large servers share hundreds of MiB of cache: only a buffer well beyond that shows the memory.
std::int64_t Pieces() { return HostDevice().memory_bytes >= std::int64_t{8} << 30 ? 512 : 256; }

std::uint64_t Sum(const Line* lines) {
  Line even = {};
  Line odd = {};
  for (std::int64_t i = 0; i < kPieceLines; i += 2) {
    even += lines[i];
    odd += lines[i + 1];
  }
  even += odd;
  return even[0] ^ even[1] ^ even[2] ^ even[3] ^ even[4] ^ even[5] ^ even[6] ^ even[7];
}

}  // namespace

double MeasureReadBandwidth(int threads) {
  const std::int64_t pieces = Pieces();
  const std::size_t bytes = static_cast<std::size_t>(pieces) * kPieceBytes;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  madvise(memory, bytes, MADV_HUGEPAGE);  // fewer faults; without it the result is the same
  ThreadPool pool(threads);
  auto* lines = static_cast<Line*>(memory);
  pool.ParallelFor(pieces, 1, [&](std::int64_t begin, std::int64_t end, int) {
    std::fill(lines + begin * kPieceLines, lines + end * kPieceLines, Line{1});
  });
  double best = 0;
  for (int pass = 0; pass < 3; ++pass) {
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(pieces));
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(pieces, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t p = begin; p < end; ++p)
        sums[static_cast<std::size_t>(p)] = Sum(lines + p * kPieceLines);
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    // The sums are used, so that the reads cannot be left out.
    const bool read = std::count(sums.begin(), sums.end(), sums[0]) == pieces;
    if (read) best = std::max(best, static_cast<double>(bytes) / took.count() / 1e9);
  }
  munmap(memory, bytes);
  return best;
}

}  // namespace birkhoff
