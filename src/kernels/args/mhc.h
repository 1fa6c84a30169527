// The arguments of the mHC ops and what kernels make of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "birkhoff/ops/mhc.h"

namespace birkhoff {

// The streams of T tokens: element i of stream j of token t is data[t * token + j * stream + i].
struct MhcStreams {
  const void* data = nullptr;
  std::int64_t token = 0;
  std::int64_t stream = 0;
};

// The streams that the arguments of an op read. Inlined always: CPU kernels of every instruction
// set call it, and the linker would keep one copy for all machines.
template <class Args>
[[gnu::always_inline]] inline MhcStreams StreamsOf(const Args& a) {
  if (a.layout.token == 0) return {a.streams, a.hc * a.hidden, a.hidden};
  return {a.streams, a.layout.token, a.layout.stream};
}

// The mix that a boundary or a tail begins with. Inlined always, as StreamsOf().
template <class Args>
[[gnu::always_inline]] inline MhcPostArgs PostOf(const Args& a) {
  return {a.x,    a.streams, a.post, a.comb,   a.streams_out,
          a.type, a.tokens,  a.hc,   a.hidden, a.layout};
}

// Scratch of the boundaries on the CPU: a row of h for each thread, where the caller may want FP8
// alone.
inline std::size_t HScratch(const MhcBoundaryArgs& a, int threads) {
  return a.fp8.format.group == 0 ? 0 : static_cast<std::size_t>(threads * a.hidden) * 2;
}
inline std::size_t HScratch(const MhcBoundaryShiftedArgs& a, int threads) {
  return HScratch(a.boundary, threads);
}

}  // namespace birkhoff
