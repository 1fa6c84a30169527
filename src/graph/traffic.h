// What a step of a graph costs, before kernels are chosen.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace birkhoff::graph {

// Bytes of activations that nodes read and write, each operand once, views left out.
struct Traffic {
  std::int64_t per_token = 0;
  std::int64_t per_row = 0;  // of a row of logits

  Traffic operator-(const Traffic& other) const {
    return {per_token - other.per_token, per_row - other.per_row};
  }
};
Traffic TrafficOf(const Graph& graph);

// Nodes that a kernel computes.
int KernelsOf(const Graph& graph);

}  // namespace birkhoff::graph
