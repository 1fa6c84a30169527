#include "graph/print.h"

#include <fmt/format.h>

#include <iterator>

namespace birkhoff::graph {
namespace {

bool InRange(const Graph& graph, Value v) {
  return v.valid() && static_cast<std::size_t>(v.id) < graph.values.size();
}

std::string TypeText(const ops::ValueType& type) {
  if (type.kind != ops::Kind::kState || type.shape.size() != 3) return type.ToString();
  return fmt::format("state {} [slots, {}, {}]", Name(type.dtype), type.shape[1].times,
                     type.shape[2].times);
}

std::string AttributeText(const ops::Attributes::Entry& entry) {
  if (const auto* i = std::get_if<std::int64_t>(&entry.value)) {
    if (entry.name == "out") return fmt::format("out={}", Name(static_cast<DType>(*i)));
    return fmt::format("{}={}", entry.name, *i);
  }
  if (const auto* d = std::get_if<double>(&entry.value))
    return fmt::format("{}={}", entry.name, *d);
  return fmt::format("{}={}", entry.name, std::get<bool>(entry.value));
}

std::string LabelText(const Labels& labels) {
  if (labels.layer < 0) return std::string(labels.site);
  return fmt::format("layer {} {}", labels.layer, labels.site);
}

// Names come from checkpoints: a quote must not end the string it stands in.
std::string Quoted(std::string_view s) {
  std::string quoted = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\' || c == '\n') quoted += '\\';
    quoted += c == '\n' ? 'n' : c;
  }
  return quoted + '"';
}

}  // namespace

std::string ToText(const Graph& graph, Value value) {
  if (!InRange(graph, value)) return fmt::format("%{}?", value.id);
  const ValueInfo& v = graph[value];
  if (v.name.empty()) return fmt::format("%{}", value.id);
  return v.version == 0 ? v.name : fmt::format("{}@{}", v.name, v.version);
}

NodeSummary Summarise(const Graph& graph, int node) {
  const Node& n = graph.nodes[static_cast<std::size_t>(node)];
  NodeSummary s;
  s.op = n.op->name;
  for (Value v : n.out) {
    s.results.push_back(ToText(graph, v));
    s.types.push_back(InRange(graph, v) ? TypeText(graph[v].type) : "?");
  }
  for (Value v : n.in) s.operands.push_back(ToText(graph, v));
  for (const ops::Attributes::Entry& e : n.attributes.entries()) {
    if (n.op->view && n.op->begin == nullptr) break;  // the result's type says it all
    s.attributes += (s.attributes.empty() ? "" : ", ") + AttributeText(e);
  }
  s.label = LabelText(n.labels);
  const std::string_view file = n.file;
  s.place = fmt::format("{}:{}", file.substr(file.rfind('/') + 1), n.line);
  return s;
}

std::string ToText(const Graph& graph, int node) {
  const NodeSummary s = Summarise(graph, node);
  std::string text =
      fmt::format("{} = {}({})", fmt::join(s.results, ", "), s.op, fmt::join(s.operands, ", "));
  if (!s.attributes.empty()) text += fmt::format(" {{{}}}", s.attributes);
  text += fmt::format(" : {}", fmt::join(s.types, ", "));
  if (!s.label.empty()) text += fmt::format("   // {}", s.label);
  return text;
}

std::string ToText(const Graph& graph) {
  std::string text;
  const auto out = std::back_inserter(text);
  for (Value v : graph.inputs)
    fmt::format_to(out, "input {} : {}\n", ToText(graph, v), TypeText(graph[v].type));
  for (const State& s : graph.states)
    fmt::format_to(out, "state {} : {}\n", s.name, TypeText(graph[s.first].type));
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    fmt::format_to(out, "{}\n", ToText(graph, static_cast<int>(n)));
  for (const Output& o : graph.outputs)
    fmt::format_to(out, "output {} = {}\n", o.name, ToText(graph, o.value));
  return text;
}

std::string ToDot(const Graph& graph) {
  std::string text = "digraph model {\n  node [shape=box, fontname=monospace];\n";
  const auto out = std::back_inserter(text);
  const auto producer = [&](Value v) {
    return graph[v].producer >= 0 ? fmt::format("n{}", graph[v].producer)
                                  : fmt::format("v{}", v.id);
  };
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const Origin origin = graph.values[v].origin;
    if (origin != Origin::kInput && origin != Origin::kState) continue;
    fmt::format_to(out, "  v{} [label={}, shape=ellipse];\n", v, Quoted(graph.values[v].name));
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const NodeSummary s = Summarise(graph, static_cast<int>(n));
    const std::string label = s.label.empty() ? s.op : fmt::format("{}\n{}", s.op, s.label);
    fmt::format_to(out, "  n{} [label={}];\n", n, Quoted(label));
    for (Value v : graph.nodes[n].in) {
      if (!InRange(graph, v) || graph[v].origin == Origin::kParameter) continue;
      fmt::format_to(out, "  {} -> n{} [label={}];\n", producer(v), n,
                     Quoted(TypeText(graph[v].type)));
    }
  }
  for (const Output& o : graph.outputs) {
    if (!InRange(graph, o.value)) continue;
    fmt::format_to(out, "  {} -> {};\n", producer(o.value), Quoted(o.name));
  }
  return text + "}\n";
}

}  // namespace birkhoff::graph
