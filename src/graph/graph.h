// The model as one SSA graph of semantic ops.
//
// Nodes stand in a topological order, which is also the order in which a plan runs them. Layer
// borders are labels, not walls. The data is open: builder.h makes graphs that are right, verify.h
// says of any graph whether it is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace birkhoff::graph {

// A value is named by its index in Graph::values, for as long as the graph lives.
struct Value {
  int id = -1;

  bool valid() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};

enum class Origin : std::uint8_t {
  kResult,     // of a node
  kInput,      // comes with every step
  kParameter,  // constant, owned by the model's weights
  kState,      // first version of a state in a step
};

struct ValueInfo {
  Origin origin = Origin::kResult;
  ops::ValueType type = {};  // kState: [0, capacity, width], slots are bound by the plan
  std::string name = {};     // of inputs, parameters and states; empty for other results

  // kResult. The producer is -1 once its node was erased.
  int producer = -1;  // index in Graph::nodes
  int slot = 0;       // which of its results

  // kParameter; both must outlive the graph and every plan made from it.
  const void* data = nullptr;              // kVector f32, kFrequency f64, kTable i32
  const WeightMatrix* matrices = nullptr;  // kMatrix: one; kMatrices: type.shape[0] of them

  // Values of kind kState.
  int state = -1;   // index in Graph::states
  int version = 0;  // writes to the state before this value, within a step
};

struct Labels {
  int layer = -1;              // -1: outside of any layer
  std::string_view site = {};  // a literal: "attn", "ffn", "head", ...
};

struct Node {
  const ops::OpDef* op = nullptr;
  std::vector<Value> in = {};
  std::vector<Value> out = {};
  ops::Attributes attributes = {};
  Labels labels = {};
  const char* file = "";  // where the builder was called
  int line = 0;
};

// Rows kept per sequence from step to step. All versions of one state share its memory.
struct State {
  std::string name = {};
  DType dtype = DType::kF32;
  std::int64_t capacity = 0;  // rows of one sequence
  std::int64_t width = 0;     // elements of a row
  Value first = {};

  std::int64_t bytes_per_slot() const {
    return capacity * width * static_cast<std::int64_t>(SizeOf(dtype));
  }
};

struct Output {
  std::string name = {};
  Value value = {};
};

// One use of a value: operand `slot` of node `node`.
struct Use {
  int node = -1;
  int slot = 0;
  bool operator==(const Use&) const = default;
};

struct Graph {
  std::vector<ValueInfo> values = {};
  std::vector<Node> nodes = {};
  std::vector<Value> inputs = {};  // the order in which a step brings them
  std::vector<State> states = {};
  std::vector<Output> outputs = {};

  const ValueInfo& operator[](Value v) const { return values[static_cast<std::size_t>(v.id)]; }
  ValueInfo& operator[](Value v) { return values[static_cast<std::size_t>(v.id)]; }

  const Node& At(int n) const { return nodes[static_cast<std::size_t>(n)]; }

  // Index by name, or -1.
  int FindInput(std::string_view name) const;
  int FindState(std::string_view name) const;
  int FindOutput(std::string_view name) const;

  // Every use as an operand, in node order.
  std::vector<Use> Users(Value v) const;

  // Puts `node` before the node at `position` (nodes.size(): at the end), with new values of these
  // types as its results, which are returned.
  std::vector<Value> Insert(int position, Node node, std::vector<ops::ValueType> results);

  // The same, with the types that its op gives.
  // Errors  those of ops::Infer; the graph is as it was
  Result<std::vector<Value>> Insert(int position, Node node);

  // Removes a node. Its results keep their ids but may have no users.
  void Erase(int position);

  // The n-th node becomes the one that was order[n].
  void Reorder(std::span<const int> order);

  // Every operand and output that is `from` becomes `to`.
  void ReplaceUses(Value from, Value to);

 private:
  // Sets what values say of their producers, for the results of nodes from `position` on.
  void Renumber(int position);
};

}  // namespace birkhoff::graph
