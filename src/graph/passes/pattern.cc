#include "graph/passes/pattern.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/print.h"

namespace birkhoff::graph {
namespace {

// Whether values lead from the first node to all others: else a search would try every pair.
bool IsInOnePiece(const Graph& graph) {
  std::vector<bool> reached(graph.values.size());
  std::vector<bool> in(graph.nodes.size());
  for (bool grows = true; grows;) {
    grows = false;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      const auto touches = [&](Value v) { return reached[static_cast<std::size_t>(v.id)]; };
      if (in[n] || (n > 0 && std::none_of(node.in.begin(), node.in.end(), touches) &&
                    std::none_of(node.out.begin(), node.out.end(), touches)))
        continue;
      in[n] = grows = true;
      for (Value v : node.in) reached[static_cast<std::size_t>(v.id)] = true;
      for (Value v : node.out) reached[static_cast<std::size_t>(v.id)] = true;
    }
  }
  return std::find(in.begin(), in.end(), false) == in.end();
}

}  // namespace

Value PatternBuilder::Keep(Value v) {
  kept_.push_back(v);
  return v;
}

std::vector<Value> PatternBuilder::Keep(std::vector<Value> values) {
  if (!values.empty()) kept_.push_back(values[0]);
  return values;
}

Value PatternBuilder::Capture(Value v, std::string_view attribute, std::string_view as) {
  captured_.push_back({v, std::string(attribute), std::string(as)});
  return v;
}

Result<Pattern> PatternBuilder::Finish(Here here) && {
  Pattern p;
  BK_ASSIGN_OR_RETURN(p.graph, static_cast<Builder&&>(*this).Finish(here));
  const auto maker = [&](Value v, std::string_view what) -> Result<int> {
    if (v.valid() && p.graph[v].producer >= 0) return p.graph[v].producer;
    return Status::InvalidArgument(
        fmt::format("pattern: {} {}, which no node makes", what, ToText(p.graph, v)));
  };
  if (p.graph.nodes.empty()) return Status::InvalidArgument("pattern: has no nodes");
  if (out_.empty()) return Status::InvalidArgument("pattern: has nothing to replace");
  if (!IsInOnePiece(p.graph)) return Status::InvalidArgument("pattern: is in two pieces");
  p.kept.resize(p.graph.nodes.size());
  for (Value v : kept_) {
    BK_ASSIGN_OR_RETURN(const int node, maker(v, "keeps"));
    p.kept[static_cast<std::size_t>(node)] = true;
  }
  for (const Capturing& c : captured_) {
    BK_ASSIGN_OR_RETURN(const int node, maker(c.value, "captures of"));
    const auto entries = p.graph.nodes[static_cast<std::size_t>(node)].attributes.entries();
    if (std::none_of(entries.begin(), entries.end(),
                     [&](const auto& e) { return e.name == c.attribute; }))
      return Status::InvalidArgument(fmt::format("pattern: {} has no attribute \"{}\" to capture",
                                                 ToText(p.graph, node), c.attribute));
    p.captured.push_back({node, c.attribute, c.as});
  }
  for (Value v : out_) {
    BK_ASSIGN_OR_RETURN(const int node, maker(v, "replaces"));
    if (p.kept[static_cast<std::size_t>(node)])
      return Status::InvalidArgument(
          fmt::format("pattern: replaces {}, which stays", ToText(p.graph, v)));
  }
  p.out = std::move(out_);
  return p;
}

}  // namespace birkhoff::graph
