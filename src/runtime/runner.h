// A planned graph ready to step, with the state of its sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/reserved_memory.h"
#include "base/thread_pool.h"
#include "birkhoff/device.h"
#include "birkhoff/engine.h"
#include "graph/plan.h"

namespace birkhoff::runtime {

struct RunnerOptions {
  Device device = {};
  int threads = 1;
  int slots = 1;       // sequences with a state of their own
  int max_tokens = 1;  // of a step
  int max_rows = 1;    // of a step that want logits
};

// One sequence's tokens in a step.
struct Part {
  int slot = 0;
  std::int64_t past = 0;      // tokens of the sequence that the state has seen
  std::int64_t position = 0;  // of the first token here; the same as past but for drafts
  std::span<const std::int32_t> tokens = {};
};

// One planned graph with its states. A step copies token ids and positions, runs, and leaves its
// outputs in place.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> Make(graph::Graph graph, const RunnerOptions& options);

  // Runs the parts as one step. rows: indexes into the packed tokens, ascending. `streams` goes to
  // the input of that name, if the graph has one. Allocates nothing. The caller has checked ids and
  // lengths.
  Status Step(std::span<const Part> parts, std::span<const std::int32_t> rows, const void* streams,
              ThreadPool& pool);

  std::span<const float> logits() const;             // [rows, vocab] of the last step
  const void* StreamsRow(std::int64_t token) const;  // "streams" of that token of the last step
  // Of the last step; null when there is none of that name.
  const ops::Operand* Output(std::string_view name) const;
  graph::Plan& plan() { return *plan_; }
  const graph::Plan& plan() const { return *plan_; }
  // Per node, over all steps; empty: not measured.
  std::span<std::int64_t> nanoseconds() { return nanoseconds_; }
  void MeasureNodes() { nanoseconds_.assign(plan_->graph().nodes.size(), 0); }

 private:
  std::unique_ptr<graph::Plan> plan_ = {};
  std::vector<ReservedMemory> states_ = {};
  std::vector<std::int64_t> nanoseconds_ = {};
  int logits_output_ = -1;
  int streams_output_ = -1;
  int streams_input_ = -1;

  // The inputs of a step, sized once.
  std::vector<std::int32_t> ids_ = {};
  std::vector<std::int32_t> positions_ = {};
  std::vector<std::int32_t> rows_ = {};
  std::vector<std::int32_t> begin_ = {};
  std::vector<std::int32_t> slot_ = {};
  std::vector<std::int64_t> past_ = {};
  std::vector<const void*> inputs_ = {};
};

}  // namespace birkhoff::runtime
