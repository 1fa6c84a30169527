// Whether a graph is one that a plan may be made from.
#pragma once

#include "birkhoff/status.h"
#include "graph/graph.h"

namespace birkhoff::graph {

// Checks that
//   operands are defined before the node that uses them, and every value has one producer;
//   the type of every result is what the op infers from its operands;
//   a state is read in its latest version only: so each version has at most one writer and all its
//   readers stand before it; a written state is no other operand of its writer;
//   every node has a site label;
//   outputs are results of nodes, and the names of inputs, states and outputs are unique.
//
// Errors   kInternal  the first thing that is wrong, with the node's text and its builder call
Status Verify(const Graph& graph);

}  // namespace birkhoff::graph
