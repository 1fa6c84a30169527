// The sequences of one step, packed one after another without padding.
#pragma once

#include <cstdint>

namespace birkhoff {

// Sequence s of a step owns the tokens [begin[s], begin[s + 1]); token t of them is at position
// past[s] + (t - begin[s]) of its sequence. Its state lies at index slot[s] of every state tensor.
struct SequenceBatch {
  std::int64_t count = 0;               // S >= 0 sequences
  const std::int32_t* begin = nullptr;  // [S + 1] ascending, begin[0] = 0, begin[S] = T
  const std::int32_t* slot = nullptr;   // [S] distinct
  const std::int64_t* past = nullptr;   // [S] tokens that the sequence had before this step
};

// Rows of per-sequence state: [slots, capacity, width]. A ring holds position p at row p mod
// capacity; a list holds entry e at row e. Which of both is the op's business. A row that was not
// written yet is never read.
struct StateRows {
  void* data = nullptr;       // [slots, capacity, width]
  std::int64_t capacity = 0;  // rows of one sequence
  std::int64_t width = 0;     // elements of a row
};

}  // namespace birkhoff
