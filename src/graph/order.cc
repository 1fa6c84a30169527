#include "graph/order.h"

#include <queue>
#include <vector>

namespace birkhoff::graph {
namespace {

// What depends on what beyond values: a write waits for those who read what was there before.
std::vector<std::vector<int>> Followers(const Graph& graph, std::vector<int>& waits) {
  std::vector<std::vector<int>> readers(graph.values.size());
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (Value v : graph.nodes[n].in)
      readers[static_cast<std::size_t>(v.id)].push_back(static_cast<int>(n));
  }
  std::vector<std::vector<int>> followers(graph.nodes.size());
  waits.assign(graph.nodes.size(), 0);
  const auto add = [&](int before, int after) {
    followers[static_cast<std::size_t>(before)].push_back(after);
    ++waits[static_cast<std::size_t>(after)];
  };
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (Value v : graph.nodes[n].in) {
      if (graph[v].producer >= 0) add(graph[v].producer, static_cast<int>(n));
    }
    for (const ops::OpDef::Mutation& m : graph.nodes[n].op->mutates) {
      const Value before = graph.nodes[n].in[static_cast<std::size_t>(m.operand)];
      for (const int reader : readers[static_cast<std::size_t>(before.id)]) {
        if (reader != static_cast<int>(n)) add(reader, static_cast<int>(n));
      }
    }
  }
  return followers;
}

}  // namespace

Status SortNodes(Graph& graph, std::span<const double> keys) {
  std::vector<int> waits;
  const std::vector<std::vector<int>> followers = Followers(graph, waits);
  const auto later = [&](int a, int b) {
    return keys[static_cast<std::size_t>(a)] > keys[static_cast<std::size_t>(b)];
  };
  std::priority_queue<int, std::vector<int>, decltype(later)> ready(later);
  for (std::size_t n = 0; n < waits.size(); ++n) {
    if (waits[n] == 0) ready.push(static_cast<int>(n));
  }
  std::vector<int> order;
  while (!ready.empty()) {
    const int n = ready.top();
    ready.pop();
    order.push_back(n);
    for (const int f : followers[static_cast<std::size_t>(n)]) {
      if (--waits[static_cast<std::size_t>(f)] == 0) ready.push(f);
    }
  }
  if (order.size() != graph.nodes.size()) return Status::Internal("nodes depend on themselves");
  graph.Reorder(order);
  return {};
}

}  // namespace birkhoff::graph
