// The order of a graph's nodes.
#pragma once

#include <span>

#include "birkhoff/status.h"
#include "graph/graph.h"

namespace birkhoff::graph {

// Brings the nodes into the order nearest to that of `keys` [nodes], lowest first, in which
// everything is defined before it is used and every version of a state is read before it is
// written over.
//
// Errors  kInternal  nodes depend on themselves; the graph is as it was
Status SortNodes(Graph& graph, std::span<const double> keys);

}  // namespace birkhoff::graph
