// Puts something else in the place of a match.
#pragma once

#include <string_view>
#include <vector>

#include "base/refusal.h"
#include "graph/passes/match.h"

namespace birkhoff::graph {

// Makes the nodes that stand for a match. They stand together, behind all that the pattern reads
// and as early as the order of states allows, and have the labels of the last node of the match.
class Emitter {
 public:
  Emitter(Graph& graph, const Pattern& pattern, const Binding& binding)
      : graph_(graph), pattern_(pattern), binding_(binding), first_(graph.nodes.size()) {}

  // The value of the graph that an input, a weight or a state of the pattern stands for.
  Value operator[](std::string_view name);
  const Binding& binding() const { return binding_; }

  // Any op: its results. What the guard let through must fit the op.
  std::vector<Value> Op(const ops::OpDef& op, std::vector<Value> in, ops::Attributes attributes);

  std::size_t first() const { return first_; }
  const Status& status() const { return status_; }

 private:
  Graph& graph_;
  const Pattern& pattern_;
  const Binding& binding_;
  std::size_t first_ = 0;
  Status status_ = {};
};

// Whether the nodes of a match may go: nobody else reads what is inside, and what the new nodes
// read, or must come before the states that they write, does not depend on what they make.
Refusal Illegal(const Graph& graph, const Uses& uses, const Pattern& pattern,
                const Binding& binding);

// emit(emitter) gives a value for each that the pattern gives. Afterwards the graph verifies.
// Errors  of the op that was to be made, which refuses its operands
//         kInternal  the recipe is wrong: a name, the number, a type or a state of the values
//         The graph is as it was.
Status Replace(Graph& graph, const Pattern& pattern, const Binding& binding,
               std::vector<Value> (*emit)(Emitter&));

// Removes the nodes whose results nobody reads and that write no state; how many that were.
int RemoveDead(Graph& graph);

}  // namespace birkhoff::graph
