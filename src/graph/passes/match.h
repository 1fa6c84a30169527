// Finds a pattern in a graph.
//
// A search starts at a node whose op is the rarest of the pattern's and goes from node to node
// along what they read and what reads them, depth first, in the order of the graph: the same graph
// gives the same matches.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

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

  // What a captured attribute is; it must have been captured with this type.
  std::int64_t Int(std::string_view name) const;
  double Number(std::string_view name) const;
};

// How far the search from one root came that came furthest.
struct Miss {
  int root = -1;  // node
  int step = 0;   // nodes of the pattern that were found
  int steps = 0;  // that there are
  std::string wanted = {};
  std::string saw = {};
};

class Matcher {
 public:
  Matcher(const Pattern& pattern, const Graph& graph);

  // The op that a search begins at.
  const ops::OpDef* root_op() const;

  // The pattern with its root at this node, or what was missing.
  std::optional<Binding> At(const Graph& graph, const Uses& uses, int root, Miss& miss) const;

 private:
  // The next node: what a bound one reads, or what reads a bound value.
  struct Step {
    int node = -1;
    Value from = {};  // in the pattern: bound by then
    bool is_user = false;
    int slot = 0;  // of the result that `from` is, or of the operand
  };

  bool Continue(const Graph& graph, const Uses& uses, std::size_t step, Binding& binding,
                Miss& miss) const;
  bool Bind(const Graph& graph, int node, int to, Binding& binding, std::string& why) const;

  const Pattern& pattern_;
  int root_ = -1;
  std::vector<Step> steps_ = {};
};

}  // namespace birkhoff::graph
