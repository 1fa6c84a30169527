#include "graph/passes/match.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "graph/print.h"

namespace birkhoff::graph {

Uses::Uses(const Graph& graph) : uses_(graph.values.size()), outputs_(graph.values.size()) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (std::size_t i = 0; i < graph.nodes[n].in.size(); ++i)
      uses_[static_cast<std::size_t>(graph.nodes[n].in[i].id)].push_back(
          {static_cast<int>(n), static_cast<int>(i)});
  }
  for (const Output& o : graph.outputs) outputs_[static_cast<std::size_t>(o.value.id)] = true;
}

int RarestNode(const Pattern& pattern, const Graph& graph) {
  std::map<const ops::OpDef*, int> count;
  for (const Node& node : graph.nodes) ++count[node.op];
  const auto& nodes = pattern.graph.nodes;
  const auto rarest =
      std::min_element(nodes.begin(), nodes.end(),
                       [&](const Node& x, const Node& y) { return count[x.op] < count[y.op]; });
  return static_cast<int>(rarest - nodes.begin());
}

Matcher::Matcher(const Pattern& pattern, int root) : pattern_(pattern), root_(root) {
  const auto& nodes = pattern.graph.nodes;
  // Always the first node that touches what is bound.
  std::vector<bool> done(nodes.size());
  std::vector<bool> bound(pattern.graph.values.size());
  const auto mark = [&](int n) {
    done[static_cast<std::size_t>(n)] = true;
    for (Value v : nodes[static_cast<std::size_t>(n)].in)
      bound[static_cast<std::size_t>(v.id)] = true;
    for (Value v : nodes[static_cast<std::size_t>(n)].out)
      bound[static_cast<std::size_t>(v.id)] = true;
  };
  const auto next = [&]() -> Step {
    for (std::size_t n = 0; n < nodes.size(); ++n) {
      if (done[n]) continue;
      const int node = static_cast<int>(n);
      for (Value v : nodes[n].out) {
        if (bound[static_cast<std::size_t>(v.id)]) return {node, v, /*is_user=*/false};
      }
      for (Value v : nodes[n].in) {
        if (bound[static_cast<std::size_t>(v.id)]) return {node, v, /*is_user=*/true};
      }
    }
    return {};
  };
  mark(root_);
  for (Step s = next(); s.node >= 0; s = next()) {
    steps_.push_back(s);
    mark(s.node);
  }
}

const ops::OpDef* Matcher::root_op() const { return pattern_.graph.At(root_).op; }

std::optional<Binding> Matcher::At(const Graph& graph, const Uses& uses, int root,
                                   const Refuses& refuses, Miss& miss) const {
  miss = {};
  Binding binding = {std::vector<int>(pattern_.graph.nodes.size(), -1),
                     std::vector<Value>(pattern_.graph.values.size()),
                     {}};
  std::string why;
  if (!Bind(graph, root_, root, binding, why)) {
    miss.reason = fmt::format("wanted {}, saw {}", root_op()->name, why);
    return {};
  }
  if (!Continue({graph, uses, refuses, miss}, 0, binding)) return {};
  return binding;
}

bool Matcher::Continue(const Search& search, std::size_t step, Binding& binding) const {
  const auto fail = [&](std::string reason) {
    const int found = static_cast<int>(step) + 1;
    if (found > search.miss.step) search.miss = {found, std::move(reason)};
    return false;
  };
  if (step == steps_.size()) {
    const Refusal refusal = search.refuses(binding);
    return refusal ? fail(refusal.why()) : true;
  }
  const Step& s = steps_[step];
  const Value from = binding[s.from];
  std::vector<int> candidates;
  if (s.is_user) {
    for (const Use& use : search.uses.Of(from)) candidates.push_back(use.node);
  } else if (search.graph[from].producer >= 0) {
    candidates.push_back(search.graph[from].producer);
  }
  std::vector<std::string> seen;
  for (const int candidate : candidates) {
    Binding longer = binding;
    std::string why;
    if (!Bind(search.graph, s.node, candidate, longer, why)) {
      seen.push_back(std::move(why));
      continue;
    }
    if (Continue(search, step + 1, longer)) {
      binding = std::move(longer);
      return true;
    }
  }
  return fail(fmt::format("wanted {} {} {}, saw {}", pattern_.graph.At(s.node).op->name,
                          s.is_user ? "reading" : "making", graph::ToText(search.graph, from),
                          seen.empty() ? "nothing" : fmt::format("{}", fmt::join(seen, ", "))));
}

bool Matcher::Bind(const Graph& graph, int node, int to, Binding& binding, std::string& why) const {
  const Node& want = pattern_.graph.At(node);
  const Node& have = graph.At(to);
  why = std::string(have.op->name);
  const auto differs = [&](const std::string& how) {
    why += how;
    return false;
  };
  if (have.op != want.op) return false;
  if (have.in.size() != want.in.size() || have.out.size() != want.out.size())
    return differs(fmt::format(" of {} operands, {} results", have.in.size(), have.out.size()));
  if (std::find(binding.nodes.begin(), binding.nodes.end(), to) != binding.nodes.end())
    return differs(" that stands for another node");
  if (have.attributes.entries().size() != want.attributes.entries().size())
    return differs(fmt::format(" with {} attributes", have.attributes.entries().size()));
  for (std::size_t e = 0; e < want.attributes.entries().size(); ++e) {
    const auto& w = want.attributes.entries()[e];
    const auto& h = have.attributes.entries()[e];
    const auto capture = std::find_if(
        pattern_.captured.begin(), pattern_.captured.end(),
        [&](const Pattern::Captured& c) { return c.node == node && c.attribute == w.name; });
    if (capture != pattern_.captured.end() && h.name == w.name) {
      const auto [it, is_new] = binding.captured.try_emplace(capture->as, h.value);
      if (is_new || it->second == h.value) continue;
    } else if (w == h) {
      continue;
    }
    return std::visit([&](auto x) { return differs(fmt::format(" with {}={}", h.name, x)); },
                      h.value);
  }
  const auto bind = [&](Value v, Value is, std::size_t i, std::string_view what) {
    Value& now = binding[v];
    const bool is_parameter = pattern_.graph[v].origin == Origin::kParameter;
    if ((!now.valid() || now == is) && (!is_parameter || graph[is].origin == Origin::kParameter)) {
      now = is;
      return true;
    }
    return differs(fmt::format(" whose {} {} is {}", what, i, graph::ToText(graph, is)));
  };
  for (std::size_t i = 0; i < want.in.size(); ++i) {
    if (!bind(want.in[i], have.in[i], i, "operand")) return false;
  }
  for (std::size_t i = 0; i < want.out.size(); ++i) {
    if (!bind(want.out[i], have.out[i], i, "result")) return false;
  }
  binding.nodes[static_cast<std::size_t>(node)] = to;
  return true;
}

}  // namespace birkhoff::graph
