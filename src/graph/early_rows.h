// Takes the rows that need logits before the work on rows, not behind it: what only those rows need
// is then done for R rows instead of T.
#pragma once

#include "graph/graph.h"

namespace birkhoff::graph {

// Moves every gather_rows to the operands of the op that makes what it reads, where each row of
// that op's results depends on that row alone and nobody reads others. Bits stay: such an op gives
// the same row whatever else is in the batch. The graph verifies, before and after.
//
// How many nodes work on fewer rows now.
int TakeRowsEarly(Graph& graph);

}  // namespace birkhoff::graph
