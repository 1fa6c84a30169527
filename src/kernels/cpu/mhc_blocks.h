// How mHC kernels with a projection spread over threads.
#pragma once

#include "base/thread_pool.h"
#include "kernels/cpu/mhc_projection.h"

namespace birkhoff::cpu::BK_ISA {

// For each block of tokens: slice(first, tokens, s, &partials[s]) for the sixteen slices in any
// order, then finish(first, tokens, partials, the worker that calls it). With at least as many
// blocks as threads a thread takes whole blocks, else the threads share the slices of one block
// after another. The split is invisible in the bits: both calls depend on nothing but the block's
// own tokens.
template <class Slice, class Finish>
void ForTokenBlocks(ThreadPool& pool, const MhcProjection& p, std::int64_t tokens, Slice slice,
                    Finish finish) {
  const std::int64_t blocks = (tokens + kMhcBlock - 1) / kMhcBlock;
  const auto count = [&](std::int64_t first) {
    return static_cast<int>(tokens - first < kMhcBlock ? tokens - first : kMhcBlock);
  };
  if (blocks >= pool.size()) {
    pool.ParallelFor(blocks, 1, [&](std::int64_t begin, std::int64_t end, int worker) {
      MhcPartial partials[kMhcSlices];
      for (std::int64_t b = begin; b < end; ++b) {
        const std::int64_t first = b * kMhcBlock;
        for (int s = 0; s < kMhcSlices; ++s) slice(first, count(first), s, &partials[s]);
        finish(first, count(first), partials, worker);
      }
    });
    return;
  }
  // About 8 us of multiply-adds; below that handing over a slice costs more than it saves.
  const std::int64_t work = p.rows * p.hc * p.hidden * count(0);
  const std::int64_t grain = work < 65536 ? kMhcSlices : 1;
  MhcPartial partials[kMhcSlices];
  for (std::int64_t first = 0; first < tokens; first += kMhcBlock) {
    pool.ParallelFor(kMhcSlices, grain, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t s = begin; s < end; ++s) {
        slice(first, count(first), static_cast<int>(s), &partials[s]);
      }
    });
    finish(first, count(first), partials, 0);
  }
}

}  // namespace birkhoff::cpu::BK_ISA
