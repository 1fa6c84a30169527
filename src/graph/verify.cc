#include "graph/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "graph/print.h"

namespace birkhoff::graph {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph)
      : graph_(graph), defined_(graph.values.size(), false), latest_(graph.states.size()) {}

  Status Run() {
    BK_RETURN_IF_ERROR(Sources());
    for (node_ = 0; node_ < static_cast<int>(graph_.nodes.size()); ++node_) {
      BK_RETURN_IF_ERROR(Operands());
      BK_RETURN_IF_ERROR(Types());
      BK_RETURN_IF_ERROR(States());
      BK_RETURN_IF_ERROR(Results());
      if (node().labels.site.empty()) return Wrong("has no site label");
    }
    return Outputs();
  }

 private:
  const Node& node() const { return graph_.nodes[static_cast<std::size_t>(node_)]; }
  bool InRange(Value v) const {
    return v.valid() && static_cast<std::size_t>(v.id) < graph_.values.size();
  }
  bool Defined(Value v) const { return InRange(v) && defined_[static_cast<std::size_t>(v.id)]; }

  Status Wrong(const std::string& what) const {
    return Status::Internal(fmt::format("node {}: {}\n  {}   {}", node_, what,
                                        ToText(graph_, node_), Summarise(graph_, node_).place));
  }

  // Everything that is there before the first node.
  Status Sources() {
    std::set<std::string_view> names;
    for (std::size_t v = 0; v < graph_.values.size(); ++v) {
      const ValueInfo& info = graph_.values[v];
      if (info.origin == Origin::kResult) continue;
      defined_[v] = true;
      if (info.origin != Origin::kParameter && !names.insert(info.name).second)
        return Status::Internal(fmt::format("two inputs or states are named \"{}\"", info.name));
    }
    for (std::size_t s = 0; s < graph_.states.size(); ++s) {
      const Value first = graph_.states[s].first;
      if (!Defined(first) || graph_[first].state != static_cast<int>(s))
        return Status::Internal(fmt::format("state \"{}\" has no value", graph_.states[s].name));
      latest_[s] = first;
    }
    return {};
  }

  Status Operands() const {
    for (std::size_t i = 0; i < node().in.size(); ++i) {
      if (Defined(node().in[i])) continue;
      return Wrong(fmt::format("operand {} ({}) is used before it is defined", i,
                               ToText(graph_, node().in[i])));
    }
    return {};
  }

  Status Types() const {
    std::vector<ops::ValueType> in;
    for (Value v : node().in) in.push_back(graph_[v].type);
    const auto types = ops::Infer(*node().op, node().attributes, in);
    if (!types.ok()) return Wrong(types.status().message());
    if (types->size() != node().out.size())
      return Wrong(fmt::format("has {} results, expected {}", node().out.size(), types->size()));
    for (std::size_t i = 0; i < types->size(); ++i) {
      if (!InRange(node().out[i])) return Wrong(fmt::format("result {} is no value", i));
      const ops::ValueType& type = graph_[node().out[i]].type;
      if (type != (*types)[i])
        return Wrong(fmt::format("result {} has type {}, expected {}", i, type.ToString(),
                                 (*types)[i].ToString()));
    }
    return {};
  }

  Status States() {
    for (Value v : node().in) {
      if (graph_[v].type.kind != ops::Kind::kState) continue;
      const int state = graph_[v].state;
      if (state < 0 || static_cast<std::size_t>(state) >= latest_.size())
        return Wrong(fmt::format("{} is a version of no state", ToText(graph_, v)));
      const Value latest = latest_[static_cast<std::size_t>(state)];
      if (v != latest)
        return Wrong(fmt::format("uses state {} after {} was written by node {}", ToText(graph_, v),
                                 ToText(graph_, latest), graph_[latest].producer));
    }
    for (const ops::OpDef::Mutation& m : node().op->mutates) {
      const Value before = node().in[static_cast<std::size_t>(m.operand)];
      const Value after = node().out[static_cast<std::size_t>(m.result)];
      if (graph_[before].type.kind != ops::Kind::kState)
        return Wrong(fmt::format("writes {}, which is no state", ToText(graph_, before)));
      if (std::count(node().in.begin(), node().in.end(), before) > 1)
        return Wrong(
            fmt::format("writes {} and has it as another operand", ToText(graph_, before)));
      if (graph_[after].state != graph_[before].state)
        return Wrong(
            fmt::format("result {} is no version of {}", m.result, ToText(graph_, before)));
      latest_[static_cast<std::size_t>(graph_[before].state)] = after;
    }
    return {};
  }

  Status Results() {
    for (std::size_t i = 0; i < node().out.size(); ++i) {
      const Value v = node().out[i];
      const ValueInfo& info = graph_[v];
      if (Defined(v)) return Wrong(fmt::format("{} has two producers", ToText(graph_, v)));
      if (info.producer != node_ || info.slot != static_cast<int>(i))
        return Wrong(fmt::format("{} names result {} of node {} as its producer", ToText(graph_, v),
                                 info.slot, info.producer));
      defined_[static_cast<std::size_t>(v.id)] = true;
    }
    return {};
  }

  Status Outputs() const {
    std::set<std::string_view> names;
    for (const Output& o : graph_.outputs) {
      if (!Defined(o.value) || graph_[o.value].origin != Origin::kResult ||
          graph_[o.value].type.kind != ops::Kind::kActivation)
        return Status::Internal(fmt::format("output \"{}\" ({}) is no activation that a node makes",
                                            o.name, ToText(graph_, o.value)));
      if (graph_[o.value].type.layout != ops::Layout::kPacked)
        return Status::Internal(fmt::format("output \"{}\" is not packed: {}", o.name,
                                            graph_[o.value].type.ToString()));
      if (!names.insert(o.name).second)
        return Status::Internal(fmt::format("two outputs are named \"{}\"", o.name));
    }
    return {};
  }

  const Graph& graph_;
  std::vector<bool> defined_ = {};
  std::vector<Value> latest_ = {};  // of every state, so far
  int node_ = 0;
};

}  // namespace

Status Verify(const Graph& graph) { return Verifier(graph).Run(); }

}  // namespace birkhoff::graph
