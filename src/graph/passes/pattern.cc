#include "graph/passes/pattern.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/passes/match.h"
#include "graph/print.h"

namespace birkhoff::graph {
Value PatternBuilder::Keep(Value v) {
  kept_.push_back(v);
  return v;
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
  if (!Matcher(p, 0).ReachesAll()) return Status::InvalidArgument("pattern: is in two pieces");
  p.kept.resize(p.graph.nodes.size());
  for (Value v : kept_) {
    BK_ASSIGN_OR_RETURN(const int node, maker(v, "keeps"));
    p.kept[static_cast<std::size_t>(node)] = true;
  }
  for (const Capturing& c : captured_) {
    BK_ASSIGN_OR_RETURN(const int node, maker(c.value, "captures of"));
    const auto entries = p.graph.At(node).attributes.entries();
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
  // Whoever reads a state later must read what the fused node wrote.
  for (std::size_t n = 0; n < p.graph.nodes.size(); ++n) {
    const Node& node = p.graph.nodes[n];
    for (const ops::OpDef::Mutation& m : node.op->mutates) {
      const Value written = node.out[static_cast<std::size_t>(m.result)];
      if (!p.kept[n] && std::find(out_.begin(), out_.end(), written) == out_.end())
        return Status::InvalidArgument(
            fmt::format("pattern: writes {} and does not replace it", ToText(p.graph, written)));
    }
  }
  p.out = std::move(out_);
  return p;
}

}  // namespace birkhoff::graph
