#include "graph/traffic.h"

#include <algorithm>

namespace birkhoff::graph {

Traffic TrafficOf(const Graph& graph) {
  Traffic total;
  const auto add = [&](Value v) {
    const ops::ValueType& type = graph[v].type;
    if (type.kind != ops::Kind::kActivation) return;
    auto bytes = static_cast<std::int64_t>(SizeOf(type.dtype));
    ops::Symbol symbol = ops::Symbol::kOne;
    for (std::size_t d = 0; d < type.shape.size(); ++d) {
      if (d == 1 && type.layout == ops::Layout::kSpread) continue;
      bytes *= type.shape[d].times;
      if (type.shape[d].symbol != ops::Symbol::kOne) symbol = type.shape[d].symbol;
    }
    if (symbol == ops::Symbol::kTokens) total.per_token += bytes;
    if (symbol == ops::Symbol::kRows) total.per_row += bytes;
  };
  for (const Node& node : graph.nodes) {
    if (node.op->view) continue;
    for (Value v : node.in) add(v);
    for (Value v : node.out) add(v);
  }
  return total;
}

int KernelsOf(const Graph& graph) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [](const Node& n) { return !n.op->view; }));
}

}  // namespace birkhoff::graph
