// One form for what can be written in several, so that recipes find it: views of views are one
// view, views that change nothing are none, and what is computed twice is computed once.
#pragma once

#include "graph/graph.h"

namespace birkhoff::graph {

// The graph verifies, before and after. How many nodes it lost. Outputs and their names stay.
int Canonicalise(Graph& graph);

}  // namespace birkhoff::graph
