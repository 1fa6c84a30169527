// A graph with its kernels chosen and its memory laid out, ready to run step after step.
//
// Four kinds of memory: parameters are the model's, states are the caller's; activations lie in one
// arena (memory.h); scratch is one region as large as the hungriest node needs, which every node
// has for itself, since nodes run one after another. All of it is there once a plan is made.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/reserved_memory.h"
#include "base/thread_pool.h"
#include "birkhoff/device.h"
#include "birkhoff/status.h"
#include "graph/graph.h"
#include "graph/memory.h"

namespace birkhoff::graph {

struct PlanOptions {
  const Device* device = nullptr;  // null: HostDevice(); read by Make only
  int threads = 1;                 // a step brings a pool of at most so many
  std::int64_t max_tokens = 1;
  std::int64_t max_rows = 1;
  std::int64_t slots = 1;  // sequences that the states have room for
  std::map<std::string, std::string, std::less<>> force = {};  // op name -> name of its kernel
  // Fills memory with NaN whenever nothing in it is alive. Slow; results must not change.
  bool poison = false;
};

struct Step {
  std::span<const void* const> inputs = {};  // [graph.inputs], each [its shape]
  std::int64_t tokens = 0;                   // T
  std::int64_t rows = 0;                     // R
  SequenceBatch batch = {};                  // read by graphs that have states
};

class Plan {
 public:
  // Errors   kInternal         the graph does not verify
  //          kInvalidArgument  an option is out of range, or names an op that the graph lacks
  //          kUnsupported      no kernel of an op accepts
  //          kOutOfRange       memory cannot be had
  static Result<std::unique_ptr<Plan>> Make(Graph graph, const PlanOptions& options);

  const Graph& graph() const { return graph_; }
  const MemoryPlan& memory() const { return memory_; }

  // What computes a node; null for a view.
  const ops::Prepared* prepared(int node) const {
    return kernels_[static_cast<std::size_t>(node)].get();
  }
  std::int64_t scratch_bytes() const { return scratch_bytes_; }

  // What SetState wants to see: [slots, capacity, width].
  std::int64_t StateBytes(int state) const;

  // Gives a state its memory, 64-byte aligned, for all steps to come. Rows that no step has written
  // are never read.
  void SetState(int state, void* base);

  // Runs every node. T = 0 runs nothing, R = 0 is legal. Allocates nothing. One step at a time.
  // `nanoseconds` [graph.nodes], if given, is advanced by the time that each node took.
  //
  // Errors   kOutOfRange       more tokens, rows or slots than planned
  //          kInvalidArgument  inputs, states, batch or pool do not fit. Nothing was run.
  Status Run(const Step& step, ThreadPool& pool, std::int64_t* nanoseconds = nullptr);

  // An output of the last step, valid until the next.
  const ops::Operand& output(int index) const;

  // Regions with their sizes, and the nodes that set them.
  std::string MemoryText() const;

 private:
  // A dimension of an operand, set anew by each step.
  struct SymbolicDim {
    std::int64_t* dim = nullptr;  // in operands_
    ops::Extent extent = {};
  };
  // The data of an operand that is an input, or a view of one.
  struct InputPointer {
    void** data = nullptr;    // in operands_
    int input = 0;            // index in graph.inputs
    std::int64_t offset = 0;  // bytes
  };

  Plan(Graph graph, const PlanOptions& options) : graph_(std::move(graph)), options_(options) {}

  ops::Operand Largest(Value value) const;
  void LayOutOperands();
  Status SelectKernels();
  Status Allocate();
  Status Check(const Step& step, const ThreadPool& pool) const;
  Status CheckBatch(const Step& step) const;
  void Bind(const Step& step);
  void PoisonAfter(std::size_t node);

  Graph graph_ = {};
  PlanOptions options_ = {};
  MemoryPlan memory_ = {};
  std::int64_t scratch_bytes_ = 0;
  int scratch_node_ = -1;

  std::vector<ops::Operand> operands_ = {};  // of all nodes in order: in, then out
  std::vector<Value> operand_values_ = {};   // what each of them is
  std::vector<ops::Call> calls_ = {};        // [nodes], into operands_
  std::vector<SymbolicDim> symbolic_dims_ = {};
  std::vector<InputPointer> input_pointers_ = {};
  std::vector<bool> state_set_ = {};
  std::vector<std::unique_ptr<ops::Prepared>> kernels_ = {};  // [nodes]
  std::vector<std::vector<const Buffer*>> dying_ = {};        // [nodes] touched last by the node

  ReservedMemory arena_ = {};
  ReservedMemory scratch_ = {};
};

}  // namespace birkhoff::graph
