// Where a token of a step belongs.
#pragma once

#include "kernels/args/batch.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

struct Place {
  std::int64_t sequence = 0;
  std::int64_t begin = 0;  // first token of the sequence in this step
  std::int64_t end = 0;
  std::int64_t slot = 0;
  std::int64_t past = 0;      // position of token `begin`
  std::int64_t position = 0;  // of the token
};

BK_INLINE Place Locate(const SequenceBatch& batch, std::int64_t token) {
  std::int64_t low = 0;  // begin[low] <= token < begin[high]
  std::int64_t high = batch.count;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (batch.begin[middle] <= token ? low : high) = middle;
  }
  Place p;
  p.sequence = low;
  p.begin = batch.begin[low];
  p.end = batch.begin[low + 1];
  p.slot = batch.slot[low];
  p.past = batch.past[low];
  p.position = p.past + token - p.begin;
  return p;
}

// Row of state that a ring of one sequence uses for a position.
BK_INLINE std::int64_t RingRow(const StateRows& ring, const Place& p, std::int64_t position) {
  return p.slot * ring.capacity + position % ring.capacity;
}

}  // namespace birkhoff::cpu::BK_ISA
