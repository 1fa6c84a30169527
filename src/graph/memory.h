// Where activations lie: one arena, planned once for the largest step.
#pragma once

#include <cstdint>
#include <vector>

#include "birkhoff/status.h"
#include "graph/graph.h"

namespace birkhoff::graph {

// What the symbols of a shape stand for.
struct Counts {
  std::int64_t tokens = 0;  // T
  std::int64_t rows = 0;    // R

  std::int64_t Of(ops::Extent e) const {
    switch (e.symbol) {
      case ops::Symbol::kOne: return e.times;
      case ops::Symbol::kTokens: return e.times * tokens;
      case ops::Symbol::kRows: return e.times * rows;
    }
    return 0;
  }
};

// Memory of one value and its views, or of several that take it over from each other in place.
struct Buffer {
  int first = 0;            // the node that writes it first
  int last = 0;             // the last node that touches it; nodes.size() when it holds an output
  std::int64_t bytes = 0;   // a multiple of kArenaAlignment
  std::int64_t offset = 0;  // in the arena
};

inline constexpr std::int64_t kArenaAlignment = 256;

struct MemoryPlan {
  std::vector<Buffer> buffers = {};
  std::vector<int> buffer_of = {};  // [graph.values]; -1 for what does not lie in the arena
  std::int64_t arena_bytes = 0;
  std::int64_t peak_bytes = 0;  // of the buffers live at once; the arena cannot be smaller
  int peak_node = -1;           // the first node that needs them
};

// The value whose memory `v` is: itself, unless views lead to another.
Value Viewed(const Graph& graph, Value v);

// Bytes from the start of that memory to the first element of `v`.
std::int64_t OffsetInViewed(const Graph& graph, Value v);

// Elements from one row of the last dimension to the next; 0 of what has no rows.
std::int64_t RowOf(const Graph& graph, Value v);

// Gives every activation that a node makes a place, such that no two live at the same node overlap.
// A result takes over its operand's memory where the op allows it, the types are equal and nobody
// needs the operand any more. A pure function of the graph and the counts.
//
// Order    The graph verifies. Nodes run one after another in graph order.
// Errors   kOutOfRange  the arena would have 64 TiB or more
Result<MemoryPlan> PlanMemory(const Graph& graph, Counts largest);

}  // namespace birkhoff::graph
