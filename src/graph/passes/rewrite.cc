#include "graph/passes/rewrite.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/order.h"
#include "graph/print.h"

namespace birkhoff::graph {
namespace {

// The nodes of a match that go, and what they read from elsewhere.
struct Removal {
  Removal(const Graph& graph, const Pattern& pattern, const Binding& binding)
      : goes(graph.nodes.size()) {
    for (std::size_t n = 0; n < binding.nodes.size(); ++n) {
      if (!pattern.kept[n]) goes[static_cast<std::size_t>(binding.nodes[n])] = true;
    }
    for (std::size_t n = 0; n < goes.size(); ++n) {
      if (!goes[n]) continue;
      for (Value v : graph.nodes[n].in) {
        const int maker = graph[v].producer;
        if (maker < 0 || !goes[static_cast<std::size_t>(maker)]) reads.push_back(v);
      }
    }
    for (Value v : reads) position = std::max(position, graph[v].producer + 1);
  }

  std::vector<bool> goes = {};    // [nodes]
  std::vector<Value> reads = {};  // of others
  int position = 0;               // first at which all that is read is there
};

bool Contains(const std::vector<Value>& values, Value v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

}  // namespace

Value Emitter::operator[](std::string_view name) const {
  for (std::size_t v = 0; v < pattern_.graph.values.size(); ++v) {
    if (pattern_.graph.values[v].name == name) return binding_.values[v];
  }
  return {};
}

std::vector<Value> Emitter::Op(const ops::OpDef& op, std::vector<Value> in,
                               ops::Attributes attributes) {
  if (!status_.ok()) return {};
  std::vector<ops::ValueType> types;
  for (Value v : in) {
    if (!v.valid()) {
      status_ = Status::Internal(fmt::format("{}: an operand is no value", op.name));
      return {};
    }
    types.push_back(graph_[v].type);
  }
  Result<std::vector<ops::ValueType>> results = ops::Infer(op, attributes, types);
  if (!results.ok()) {
    status_ = results.status();
    return {};
  }
  const Node& last = graph_.nodes[static_cast<std::size_t>(
      *std::max_element(binding_.nodes.begin(), binding_.nodes.end()))];
  Node node{.op = &op,
            .in = std::move(in),
            .attributes = std::move(attributes),
            .labels = last.labels,
            .file = last.file,
            .line = last.line};
  return graph_.Insert(static_cast<int>(graph_.nodes.size()), std::move(node), std::move(*results));
}

Refusal Illegal(const Graph& graph, const Uses& uses, const Pattern& pattern,
                const Binding& binding) {
  const Removal removal(graph, pattern, binding);
  const auto goes = [&](int node) { return removal.goes[static_cast<std::size_t>(node)]; };
  std::vector<Value> out;
  for (Value v : pattern.out) out.push_back(binding.values[static_cast<std::size_t>(v.id)]);
  // What is inside is read inside.
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!removal.goes[n]) continue;
    for (Value v : graph.nodes[n].out) {
      if (Contains(out, v)) continue;
      if (uses.IsOutput(v))
        return Refusal(fmt::format("interior value {} is an output", ToText(graph, v)));
      for (const Use& use : uses.Of(v)) {
        if (goes(use.node)) continue;
        return Refusal(fmt::format("interior value {} is read outside, by {}", ToText(graph, v),
                                   ToText(graph, use.node)));
      }
    }
  }
  // Nothing that the new nodes read depends on what they make, or is that. Nodes stand in order, so
  // one pass finds all that does.
  for (std::size_t v = 0; v < binding.values.size(); ++v) {
    const Value is = binding.values[v];
    if (pattern.graph.values[v].origin == Origin::kResult || !is.valid()) continue;
    if (graph[is].producer >= 0 && goes(graph[is].producer))
      return Refusal(fmt::format("not convex: {} is what the match makes", ToText(graph, is)));
  }
  std::vector<bool> depends(graph.values.size());
  for (Value v : out) depends[static_cast<std::size_t>(v.id)] = true;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (removal.goes[n]) continue;
    const bool after = std::any_of(node.in.begin(), node.in.end(), [&](Value v) {
      return depends[static_cast<std::size_t>(v.id)];
    });
    for (Value v : node.out) {
      if (after) depends[static_cast<std::size_t>(v.id)] = true;
    }
  }
  for (Value v : removal.reads) {
    if (depends[static_cast<std::size_t>(v.id)])
      return Refusal(
          fmt::format("not convex: {} depends on what the match makes", ToText(graph, v)));
  }
  // A state is read before it is written.
  for (Value v : removal.reads) {
    if (graph[v].type.kind != ops::Kind::kState) continue;
    for (const Use& use : uses.Of(v)) {
      if (goes(use.node) || use.node >= removal.position) continue;
      for (const ops::OpDef::Mutation& m :
           graph.nodes[static_cast<std::size_t>(use.node)].op->mutates) {
        if (m.operand == use.slot)
          return Refusal(fmt::format("state {} is written in between, by {}", ToText(graph, v),
                                     ToText(graph, use.node)));
      }
    }
  }
  return {};
}

Status Replace(Graph& graph, const Pattern& pattern, const Binding& binding,
               std::vector<Value> (*emit)(Emitter&)) {
  const Removal removal(graph, pattern, binding);
  Emitter emitter(graph, pattern, binding);
  const std::vector<Value> made = emit(emitter);
  BK_RETURN_IF_ERROR(emitter.status());
  if (made.size() != pattern.out.size())
    return Status::Internal(
        fmt::format("a rewrite gives {} values, its pattern {}", made.size(), pattern.out.size()));
  for (std::size_t i = 0; i < made.size(); ++i) {
    const Value before = binding.values[static_cast<std::size_t>(pattern.out[i].id)];
    ops::ValueType type = made[i].valid() ? graph[made[i]].type : ops::ValueType();
    type.layout = graph[before].type.layout;  // whether readers take another, Verify() says
    if (type != graph[before].type)
      return Status::Internal(
          fmt::format("result {} of a rewrite is {}, its pattern's {}", i,
                      made[i].valid() ? graph[made[i]].type.ToString() : "nothing",
                      graph[before].type.ToString()));
    graph.ReplaceUses(before, made[i]);
  }
  // New nodes come right behind what they read; the rest stays, unless it reads what they make.
  std::vector<double> keys(graph.nodes.size());
  for (std::size_t n = 0; n < keys.size(); ++n)
    keys[n] = n < emitter.first() ? static_cast<double>(n)
                                  : removal.position - 1 +
                                        static_cast<double>(n - emitter.first() + 1) /
                                            static_cast<double>(keys.size() + 1);
  std::vector<std::size_t> gone;
  for (std::size_t n = removal.goes.size(); n-- > 0;) {
    if (!removal.goes[n]) continue;
    graph.Erase(static_cast<int>(n));
    keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return SortNodes(graph, keys);
}

int RemoveDead(Graph& graph) {
  std::vector<int> reads(graph.values.size());
  const auto of = [&](Value v) -> int& { return reads[static_cast<std::size_t>(v.id)]; };
  for (const Output& o : graph.outputs) ++of(o.value);
  for (const Node& node : graph.nodes) {
    for (Value v : node.in) ++of(v);
  }
  const std::size_t before = graph.nodes.size();
  for (std::size_t n = before; n-- > 0;) {
    const Node& node = graph.nodes[n];
    if (!node.op->mutates.empty() ||
        std::any_of(node.out.begin(), node.out.end(), [&](Value v) { return of(v) > 0; }))
      continue;
    for (Value v : node.in) --of(v);
    graph.Erase(static_cast<int>(n));
  }
  return static_cast<int>(before - graph.nodes.size());
}

}  // namespace birkhoff::graph
