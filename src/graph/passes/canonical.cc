#include "graph/passes/canonical.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "graph/passes/rewrite.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

bool IsReshape(const Node& node) { return node.op == &ops::kReshape; }
bool IsSlice(const Node& node) { return node.op == &ops::kSlice; }

// A view of a view of its kind reads what that reads. So the columns that DeepSeek-V3 splits twice
// are columns of the projection, as those that V4 splits once.
void SkipViews(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (!IsReshape(node) && !IsSlice(node)) continue;
    for (int maker = graph[node.in[0]].producer; maker >= 0 && graph.At(maker).op == node.op;
         maker = graph[node.in[0]].producer) {
      const Node& read = graph.At(maker);
      if (IsSlice(node))
        node.attributes = {{"begin", node.attributes.Int("begin") + read.attributes.Int("begin")},
                           {"width", node.attributes.Int("width")}};
      node.in[0] = read.in[0];
    }
  }
}

// Views that change nothing leave their users to what they read. An output must be a node's.
void SkipIdentities(Graph& graph) {
  for (const Node& node : std::vector<Node>(graph.nodes)) {
    if ((!IsReshape(node) && !IsSlice(node)) || graph[node.in[0]].type != graph[node.out[0]].type)
      continue;
    const bool is_output = std::any_of(graph.outputs.begin(), graph.outputs.end(),
                                       [&](const Output& o) { return o.value == node.out[0]; });
    if (is_output && graph[node.in[0]].origin != Origin::kResult) continue;
    graph.ReplaceUses(node.out[0], node.in[0]);
  }
}

// Nodes with one op, the same operands and the same attributes are one. In order, so that users of
// what was merged are merged too.
void MergeEqual(Graph& graph) {
  std::map<std::pair<const ops::OpDef*, std::vector<int>>, std::vector<int>> known;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!node.op->mutates.empty()) continue;
    std::vector<int> operands;
    for (Value v : node.in) operands.push_back(v.id);
    std::vector<int>& alike = known[{node.op, std::move(operands)}];
    const auto first = std::find_if(alike.begin(), alike.end(), [&](int other) {
      return graph.At(other).attributes == node.attributes;
    });
    if (first == alike.end()) {
      alike.push_back(static_cast<int>(n));
      continue;
    }
    for (std::size_t i = 0; i < node.out.size(); ++i)
      graph.ReplaceUses(node.out[i], graph.At(*first).out[i]);
  }
}

}  // namespace

int Canonicalise(Graph& graph) {
  const std::size_t before = graph.nodes.size();
  for (std::size_t was = 0; was != graph.nodes.size();) {
    was = graph.nodes.size();
    SkipViews(graph);
    SkipIdentities(graph);
    MergeEqual(graph);
    RemoveDead(graph);
  }
  return static_cast<int>(before - graph.nodes.size());
}

}  // namespace birkhoff::graph
