#include "graph/graph.h"

#include <algorithm>
#include <cassert>

namespace birkhoff::graph {

int Graph::FindInput(std::string_view name) const {
  const auto it =
      std::find_if(inputs.begin(), inputs.end(), [&](Value v) { return (*this)[v].name == name; });
  return it == inputs.end() ? -1 : static_cast<int>(it - inputs.begin());
}

int Graph::FindState(std::string_view name) const {
  const auto it =
      std::find_if(states.begin(), states.end(), [&](const State& s) { return s.name == name; });
  return it == states.end() ? -1 : static_cast<int>(it - states.begin());
}

int Graph::FindOutput(std::string_view name) const {
  const auto it =
      std::find_if(outputs.begin(), outputs.end(), [&](const Output& o) { return o.name == name; });
  return it == outputs.end() ? -1 : static_cast<int>(it - outputs.begin());
}

std::vector<Use> Graph::Users(Value v) const {
  std::vector<Use> users;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    for (std::size_t i = 0; i < nodes[n].in.size(); ++i) {
      if (nodes[n].in[i] == v) users.push_back({static_cast<int>(n), static_cast<int>(i)});
    }
  }
  return users;
}

std::vector<Value> Graph::Insert(int position, Node node, std::vector<ops::ValueType> results) {
  node.out.clear();
  for (ops::ValueType& type : results) {
    node.out.push_back({static_cast<int>(values.size())});
    values.push_back({.type = std::move(type)});
  }
  std::vector<Value> out = node.out;
  nodes.insert(nodes.begin() + position, std::move(node));
  Renumber(position);
  return out;
}

Result<std::vector<Value>> Graph::Insert(int position, Node node) {
  std::vector<ops::ValueType> types;
  for (Value v : node.in) types.push_back((*this)[v].type);
  BK_ASSIGN_OR_RETURN(std::vector<ops::ValueType> results,
                      ops::Infer(*node.op, node.attributes, types));
  return Insert(position, std::move(node), std::move(results));
}

void Graph::Erase(int position) {
  const auto node = nodes.begin() + position;
  for (Value v : node->out) {
    assert(Users(v).empty() && "an erased node has users");
    (*this)[v].producer = -1;
  }
  nodes.erase(node);
  Renumber(position);
}

void Graph::Reorder(std::span<const int> order) {
  std::vector<Node> nodes_before = std::move(nodes);
  nodes.clear();
  for (const int n : order) nodes.push_back(std::move(nodes_before[static_cast<std::size_t>(n)]));
  Renumber(0);
}

void Graph::ReplaceUses(Value from, Value to) {
  for (Node& node : nodes) std::replace(node.in.begin(), node.in.end(), from, to);
  for (Output& output : outputs) {
    if (output.value == from) output.value = to;
  }
  // What else values say of their makers has not changed; versions of a state follow its writers.
  if ((*this)[from].type.kind == ops::Kind::kState) Renumber(0);
}

void Graph::Renumber(int position) {
  for (std::size_t n = static_cast<std::size_t>(position); n < nodes.size(); ++n) {
    const Node& node = nodes[n];
    for (std::size_t i = 0; i < node.out.size(); ++i) {
      ValueInfo& v = (*this)[node.out[i]];
      v.producer = static_cast<int>(n);
      v.slot = static_cast<int>(i);
    }
    for (const ops::OpDef::Mutation& m : node.op->mutates) {
      const ValueInfo& before = (*this)[node.in[static_cast<std::size_t>(m.operand)]];
      ValueInfo& after = (*this)[node.out[static_cast<std::size_t>(m.result)]];
      after.name = before.name;
      after.state = before.state;
      after.version = before.version + 1;
    }
  }
}

}  // namespace birkhoff::graph
