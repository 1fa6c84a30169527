#include "graph/passes/canonical.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graph/passes/rewrite.h"
#include "graph/print.h"
#include "ops/defs.h"

namespace birkhoff::graph {
namespace {

bool IsReshape(const Node& node) { return node.op == &ops::kReshape; }
bool IsSlice(const Node& node) { return node.op == &ops::kSlice; }

bool IsOutput(const Graph& graph, Value v) {
  return std::any_of(graph.outputs.begin(), graph.outputs.end(),
                     [&](const Output& o) { return o.value == v; });
}

// A view of a view of its kind reads what that reads. So the columns that DeepSeek-V3 splits twice
// are columns of the projection, as those that V4 splits once.
void SkipViews(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (!IsReshape(node) && !IsSlice(node)) continue;
    for (int maker = graph[node.in[0]].producer;
         maker >= 0 && graph.nodes[static_cast<std::size_t>(maker)].op == node.op;
         maker = graph[node.in[0]].producer) {
      const Node& read = graph.nodes[static_cast<std::size_t>(maker)];
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
    if (IsOutput(graph, node.out[0]) && graph[node.in[0]].origin != Origin::kResult) continue;
    graph.ReplaceUses(node.out[0], node.in[0]);
  }
}

// Nodes with one op, the same operands and the same attributes are one. In order, so that users of
// what was merged are merged too.
void MergeEqual(Graph& graph) {
  std::map<std::string, int> known;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!node.op->mutates.empty()) continue;
    std::string key(node.op->name);
    for (Value v : node.in) key += ' ' + std::to_string(v.id);
    key += ' ' + Summarise(graph, static_cast<int>(n)).attributes;
    const auto [it, is_new] = known.try_emplace(std::move(key), static_cast<int>(n));
    const Node& first = graph.nodes[static_cast<std::size_t>(it->second)];
    if (is_new || first.attributes != node.attributes) continue;
    for (std::size_t i = 0; i < node.out.size(); ++i) graph.ReplaceUses(node.out[i], first.out[i]);
  }
}

// Row t of each result depends on row t of each activation, and on nothing else of the step.
constexpr const ops::OpDef* kRowWise[] = {
    &ops::kAdd,     &ops::kExperts, &ops::kLinear,  &ops::kMhcCoeffs, &ops::kMhcCollapse,
    &ops::kMhcHead, &ops::kMhcPost, &ops::kRmsNorm, &ops::kRoute,     &ops::kSwiglu};

bool HasRows(const ops::ValueType& type) {
  return type.kind == ops::Kind::kActivation && !type.shape.empty() &&
         type.shape[0].symbol == ops::Symbol::kTokens;
}

// Whether a node may work on the rows that a gather takes of what it makes: nobody needs others.
bool ServesGather(const Graph& graph, const Uses& uses, const Node& node, Value index) {
  if (std::find(std::begin(kRowWise), std::end(kRowWise), node.op) == std::end(kRowWise))
    return false;
  for (Value v : node.in) {
    const ops::ValueType& type = graph[v].type;
    if (HasRows(type) && (type.layout != ops::Layout::kPacked || type.shape[0].times != 1))
      return false;
  }
  return std::all_of(node.out.begin(), node.out.end(), [&](Value v) {
    return !uses.IsOutput(v) && std::all_of(uses.Of(v).begin(), uses.Of(v).end(), [&](Use use) {
      const Node& user = graph.nodes[static_cast<std::size_t>(use.node)];
      return user.op == &ops::kGatherRows && user.in[1] == index;
    });
  });
}

// Rows are taken before the work on rows, not behind it: what only those rows need is then done
// for R rows instead of T. Whether there was such a gather.
bool HoistGather(Graph& graph) {
  const Uses uses(graph);
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node gather = graph.nodes[n];
    if (gather.op != &ops::kGatherRows || graph[gather.in[0]].producer < 0) continue;
    const Value index = gather.in[1];
    Node node = graph.nodes[static_cast<std::size_t>(graph[gather.in[0]].producer)];
    if (!ServesGather(graph, uses, node, index)) continue;
    const int slot = graph[gather.in[0]].slot;
    auto position = static_cast<int>(n);
    const auto insert = [&](Node made) {
      std::vector<ops::ValueType> types;
      for (Value v : made.in) types.push_back(graph[v].type);
      auto results = ops::Infer(*made.op, made.attributes, types);
      return graph.Insert(position++, std::move(made), *std::move(results));
    };
    for (Value& v : node.in) {
      if (!HasRows(graph[v].type)) continue;
      Node rows = gather;
      rows.in = {v, index};
      rows.labels = node.labels;
      v = insert(std::move(rows))[0];
    }
    graph.ReplaceUses(gather.out[0], insert(std::move(node))[static_cast<std::size_t>(slot)]);
    return true;
  }
  return false;
}

}  // namespace

int Canonicalise(Graph& graph) {
  const std::size_t before = graph.nodes.size();
  do {
    SkipViews(graph);
    SkipIdentities(graph);
    MergeEqual(graph);
    RemoveDead(graph);
  } while (HoistGather(graph));
  return static_cast<int>(before - graph.nodes.size());
}

}  // namespace birkhoff::graph
