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
      if (pattern.kept[n]) continue;
      goes[static_cast<std::size_t>(binding.nodes[n])] = true;
      for (Value v : pattern.graph.nodes[n].in) {
        const int maker = pattern.graph[v].producer;
        if (maker >= 0 && pattern.kept[static_cast<std::size_t>(maker)])
          reads.push_back(binding[v]);
      }
    }
    for (std::size_t v = 0; v < binding.values.size(); ++v) {
      if (pattern.graph.values[v].origin != Origin::kResult) reads.push_back(binding.values[v]);
    }
    for (Value v : reads) position = std::max(position, graph[v].producer + 1);
  }

  std::vector<bool> goes = {};    // [nodes]
  std::vector<Value> reads = {};  // of others, and whatever else the pattern names
  int position = 0;               // first at which all that is read is there
};

bool Contains(const std::vector<Value>& values, Value v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

// Whether what a rewrite made may stand for what its pattern gives.
Status Fits(const Graph& graph, const Pattern& pattern, const Binding& binding,
            const Emitter& emitter, const std::vector<Value>& made) {
  BK_RETURN_IF_ERROR(emitter.status());
  if (made.size() != pattern.out.size())
    return Status::Internal(
        fmt::format("a rewrite gives {} values, its pattern {}", made.size(), pattern.out.size()));
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (!made[i].valid()) return Status::Internal(fmt::format("result {} of a rewrite is none", i));
    const ValueInfo& before = graph[binding[pattern.out[i]]];
    const ValueInfo& after = graph[made[i]];
    ops::ValueType type = after.type;
    type.layout = before.type.layout;  // whether readers take another, Verify() says
    if (type != before.type || after.state != before.state)
      return Status::Internal(fmt::format("result {} of a rewrite is {}, its pattern's {}", i,
                                          after.type.ToString(), before.type.ToString()));
  }
  for (std::size_t n = emitter.first(); n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (const ops::OpDef::Mutation& m : node.op->mutates) {
      if (!Contains(made, node.out[static_cast<std::size_t>(m.result)]))
        return Status::Internal(fmt::format("a rewrite writes {} and does not give it",
                                            ToText(graph, static_cast<int>(n))));
    }
  }
  return {};
}

bool Writes(const Graph& graph, const Use& use) {
  const auto& mutates = graph.At(use.node).op->mutates;
  return std::any_of(mutates.begin(), mutates.end(),
                     [&](const ops::OpDef::Mutation& m) { return m.operand == use.slot; });
}

}  // namespace

Value Emitter::operator[](std::string_view name) {
  for (std::size_t v = 0; v < pattern_.graph.values.size(); ++v) {
    if (pattern_.graph.values[v].name == name) return binding_.values[v];
  }
  status_ = Status::Internal(fmt::format("the pattern has no \"{}\"", name));
  return {};
}

std::vector<Value> Emitter::Op(const ops::OpDef& op, std::vector<Value> in,
                               ops::Attributes attributes) {
  if (!status_.ok()) return {};
  const Node& last = graph_.At(*std::max_element(binding_.nodes.begin(), binding_.nodes.end()));
  Node node{.op = &op,
            .in = std::move(in),
            .attributes = std::move(attributes),
            .labels = last.labels,
            .file = last.file,
            .line = last.line};
  Result<std::vector<Value>> made =
      graph_.Insert(static_cast<int>(graph_.nodes.size()), std::move(node));
  if (made.ok()) return *std::move(made);
  status_ = made.status();
  return {};
}

Refusal Illegal(const Graph& graph, const Uses& uses, const Pattern& pattern,
                const Binding& binding) {
  const Removal removal(graph, pattern, binding);
  const auto goes = [&](int node) { return removal.goes[static_cast<std::size_t>(node)]; };
  std::vector<Value> out;
  for (Value v : pattern.out) out.push_back(binding[v]);
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
  // Nothing that must come before the match must come behind it. Nodes stand in order, so one pass
  // finds what is behind: what reads what is made there, and what writes over a state read there.
  std::vector<bool> behind(graph.nodes.size());
  for (Value v : removal.reads) {
    if (graph[v].type.kind != ops::Kind::kState) continue;
    for (const Use& use : uses.Of(v)) {
      if (Writes(graph, use)) behind[static_cast<std::size_t>(use.node)] = true;
    }
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!removal.goes[n] && !behind[n]) continue;
    std::vector<Use> next;
    for (Value v : graph.nodes[n].out)
      next.insert(next.end(), uses.Of(v).begin(), uses.Of(v).end());
    for (Value v : graph.nodes[n].in) {
      if (graph[v].type.kind != ops::Kind::kState) continue;
      std::copy_if(uses.Of(v).begin(), uses.Of(v).end(), std::back_inserter(next),
                   [&](const Use& use) { return Writes(graph, use); });
    }
    for (const Use& use : next) {
      if (!removal.goes[n] && goes(use.node))
        return Refusal(fmt::format("not convex: {} depends on what the match makes",
                                   ToText(graph, static_cast<int>(n))));
      behind[static_cast<std::size_t>(use.node)] = true;
    }
  }
  for (Value v : removal.reads) {
    if (graph[v].producer < 0) continue;
    if (goes(graph[v].producer))
      return Refusal(fmt::format("not convex: {} is what the match makes", ToText(graph, v)));
    if (behind[static_cast<std::size_t>(graph[v].producer)])
      return Refusal(
          fmt::format("not convex: {} depends on what the match makes", ToText(graph, v)));
  }
  return {};
}

Status Replace(Graph& graph, const Pattern& pattern, const Binding& binding,
               std::vector<Value> (*emit)(Emitter&)) {
  const Removal removal(graph, pattern, binding);
  Emitter emitter(graph, pattern, binding);
  const std::vector<Value> made = emit(emitter);
  if (Status status = Fits(graph, pattern, binding, emitter, made); !status.ok()) {
    while (graph.nodes.size() > emitter.first())
      graph.Erase(static_cast<int>(graph.nodes.size()) - 1);
    return status;
  }
  for (std::size_t i = 0; i < made.size(); ++i) graph.ReplaceUses(binding[pattern.out[i]], made[i]);
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
