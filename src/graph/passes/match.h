// Finds a pattern in a graph.
//
// A search starts at a node that may be one of the pattern's and goes from node to node along what
// they read and what reads them, depth first, in the order of the graph: the same graph gives the
// same matches.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/refusal.h"
#include "graph/passes/pattern.h"

namespace birkhoff::graph {

// Who reads what.
class Uses {
 public:
  explicit Uses(const Graph& graph);

  std::span<const Use> Of(Value v) const { return uses_[static_cast<std::size_t>(v.id)]; }
  bool IsOutput(Value v) const { return outputs_[static_cast<std::size_t>(v.id)]; }

 private:
  std::vector<std::vector<Use>> uses_ = {};
  std::vector<bool> outputs_ = {};
};

// What stands for what.
struct Binding {
  std::vector<int> nodes = {};     // [pattern's nodes] in the graph; -1: not yet
  std::vector<Value> values = {};  // [pattern's values] in the graph
  std::map<std::string, ops::Attributes::Value, std::less<>> captured = {};

  Value& operator[](Value v) { return values[static_cast<std::size_t>(v.id)]; }
  Value operator[](Value v) const { return values[static_cast<std::size_t>(v.id)]; }

  // What a captured attribute is; it must have been captured with this type.
  std::int64_t Int(std::string_view name) const {
    return std::get<std::int64_t>(captured.find(name)->second);
  }
  double Number(std::string_view name) const {
    return std::get<double>(captured.find(name)->second);
  }
};

// How far the search from one root came that came furthest.
struct Miss {
  int step = 0;             // nodes of the pattern that were found
  std::string reason = {};  // "wanted rms_norm reading %4, saw add", or why a match was refused
};

// The node of a pattern whose op is the rarest in a graph: where the fewest searches begin.
int RarestNode(const Pattern& pattern, const Graph& graph);

class Matcher {
 public:
  // Says of a whole match why it may not be; then the search goes on.
  using Refuses = std::function<Refusal(const Binding&)>;

  // Begins at a node of the pattern.
  Matcher(const Pattern& pattern, int root);

  const ops::OpDef* root_op() const;
  // Whether values lead from there to all other nodes: else a search would try every pair.
  bool ReachesAll() const { return steps_.size() + 1 == pattern_.graph.nodes.size(); }

  // The pattern with its root at this node of the graph, or what was missing.
  std::optional<Binding> At(const Graph& graph, const Uses& uses, int root, const Refuses& refuses,
                            Miss& miss) const;

 private:
  // The next node: what a bound one reads, or what reads a bound value.
  struct Step {
    int node = -1;
    Value from = {};  // in the pattern: bound by then
    bool is_user = false;
  };
  struct Search {
    const Graph& graph;
    const Uses& uses;
    const Refuses& refuses;
    Miss& miss;
  };

  bool Continue(const Search& search, std::size_t step, Binding& binding) const;
  bool Bind(const Graph& graph, int node, int to, Binding& binding, std::string& why) const;

  const Pattern& pattern_;
  int root_ = -1;
  std::vector<Step> steps_ = {};
};

}  // namespace birkhoff::graph
