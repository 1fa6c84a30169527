// Which kernel computes what, and why no other: what `birkhoff explain` shows.
#pragma once

#include <string>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/engine.h"
#include "birkhoff/status.h"
#include "graph/passes/engine.h"

namespace birkhoff::harness {

struct KernelRow {
  std::string kernel = {};
  std::string why_not = {};  // empty for the chosen one
};

// An op's kernel table, best first, as it decides one problem.
struct Choice {
  std::string op = {};
  std::vector<std::string> cases = {};  // that are decided so; of a suite
  int nodes = 0;                        // that are decided so; of a graph
  std::string kernel = {};              // chosen
  std::string how = {};                 // "first that accepts", "forced"
  std::string launch = {};              // how a GPU kernel launches here, and why
  std::vector<KernelRow> table = {};
};

// The table of an op on `device`, for each of its benchmark cases on such a device or those that
// match a pattern; cases that are decided alike are told once.
// Errors   kNotFound  no such op or case; lists what there is
Result<std::vector<Choice>> ExplainOp(const std::string& op, const std::string& case_name,
                                      const Device& device);

struct ExplainedNode {
  std::string text = {};  // "%12 = rms_norm(...) ... : BF16 [T, 256]"
  std::string op = {};
  std::vector<std::string> operands = {};
  std::vector<std::string> results = {};
  std::vector<std::string> types = {};  // of the results
  std::string attributes = {};
  std::string label = {};   // "layer 0 attn"
  std::string kernel = {};  // empty for views, which nothing computes
};

struct ExplainedGraph {
  std::string name = {};  // "trunk", "draft"
  std::string text = {};  // inputs, states, nodes, outputs
  std::string dot = {};
  std::vector<ExplainedNode> nodes = {};
  std::vector<Choice> choices = {};  // every different decision, in order of appearance
  graph::FusionReport fusion = {};
};

std::vector<ExplainedGraph> ExplainModel(Engine& engine);

}  // namespace birkhoff::harness
