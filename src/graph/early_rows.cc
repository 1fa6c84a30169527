#include "graph/early_rows.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

// Row t of each result depends on row t of each activation, and on nothing else of the step.
constexpr const ops::OpDef* kRowWise[] = {
    &ops::kAdd,     &ops::kExperts, &ops::kLinear,  &ops::kMhcCoeffs, &ops::kMhcCollapse,
    &ops::kMhcHead, &ops::kMhcPost, &ops::kRmsNorm, &ops::kRoute,     &ops::kSwiglu};

bool HasRows(const ops::ValueType& type) {
  return type.kind == ops::Kind::kActivation && !type.shape.empty() &&
         type.shape[0].symbol == ops::Symbol::kTokens;
}

bool HasPlainRows(const ops::ValueType& type) {
  return type.layout == ops::Layout::kPacked && type.shape[0].times == 1;
}

// The gathers that read what a node makes, if it may work on their rows alone.
std::vector<int> GathersOf(const Graph& graph, const Node& node) {
  std::vector<int> gathers;
  if (std::find(std::begin(kRowWise), std::end(kRowWise), node.op) == std::end(kRowWise)) return {};
  for (Value v : node.in) {
    if (HasRows(graph[v].type) && !HasPlainRows(graph[v].type)) return {};
  }
  for (Value v : node.out) {
    if (!HasRows(graph[v].type)) return {};
    for (const Use& use : graph.Users(v)) {
      if (graph.At(use.node).op != &ops::kGatherRows) return {};
      gathers.push_back(use.node);
    }
    for (const Output& output : graph.outputs) {
      if (output.value == v) return {};
    }
  }
  std::sort(gathers.begin(), gathers.end());
  for (const int g : gathers) {
    if (graph.At(g).in[1] != graph.At(gathers[0]).in[1]) return {};
  }
  return gathers;
}

void Move(Graph& graph, int position, const std::vector<int>& gathers) {
  const Node before = graph.At(position);
  const Node gather = graph.At(gathers[0]);
  Node after = before;
  int at = gathers[0];
  for (Value& v : after.in) {
    if (!HasRows(graph[v].type)) continue;
    Node rows = gather;
    rows.in[0] = v;
    rows.labels = before.labels;
    v = (*graph.Insert(at++, std::move(rows)))[0];
  }
  const std::vector<Value> made = *graph.Insert(at++, std::move(after));
  const int inserted = at - gathers[0];
  for (auto g = gathers.rbegin(); g != gathers.rend(); ++g) {
    const Node& old = graph.At(*g + inserted);
    graph.ReplaceUses(old.out[0], made[static_cast<std::size_t>(graph[old.in[0]].slot)]);
    graph.Erase(*g + inserted);
  }
  graph.Erase(position);
}

}  // namespace

int TakeRowsEarly(Graph& graph) {
  int moved = 0;
  for (auto n = static_cast<int>(graph.nodes.size()) - 1; n >= 0; --n) {
    if (graph.At(n).op != &ops::kGatherRows) continue;
    const int maker = graph[graph.At(n).in[0]].producer;
    if (maker < 0) continue;
    const std::vector<int> gathers = GathersOf(graph, graph.At(maker));
    if (gathers.empty()) continue;
    Move(graph, maker, gathers);
    ++moved;
    n = static_cast<int>(graph.nodes.size());  // what makes its operands may follow
  }
  return moved;
}

}  // namespace birkhoff::graph
