// A graph in words and as a picture. Everything here also prints graphs that do not verify.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace birkhoff::graph {

// "%12", the name of an input or parameter, or "layers.0.window@1" for a later version of a state.
std::string ToText(const Graph& graph, Value value);

// A node in pieces, for those who print tables or JSON.
struct NodeSummary {
  std::string op = {};
  std::vector<std::string> results = {};
  std::vector<std::string> types = {};  // of the results
  std::vector<std::string> operands = {};
  std::string attributes = {};  // "eps=1e-06, out=BF16"
  std::string label = {};       // "layer 0 attn"
  std::string place = {};       // "model.cc:12", the builder call
};
NodeSummary Summarise(const Graph& graph, int node);

// %12 = rms_norm(%11, layers.0.attn_norm) {eps=1e-06, out=BF16} : BF16 [T, 256]   // layer 0 attn
std::string ToText(const Graph& graph, int node);

// Inputs, states, nodes and outputs, one a line.
std::string ToText(const Graph& graph);

// For Graphviz. Parameters are left out: they would be most of the picture.
std::string ToDot(const Graph& graph);

}  // namespace birkhoff::graph
