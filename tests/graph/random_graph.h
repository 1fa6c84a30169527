// Graphs without meaning, for properties that every graph has.
#pragma once

#include <random>

#include "graph/graph.h"

namespace birkhoff::graph {

// A valid graph of up to 40 nodes over the inputs x f32 [T, 24] and index i32 [R], with views, ops
// that may work in place, ops of two results, results that nobody uses and one to three outputs.
Graph RandomGraph(std::mt19937& random);

}  // namespace birkhoff::graph
