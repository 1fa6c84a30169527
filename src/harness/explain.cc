#include "harness/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "graph/print.h"
#include "harness/suite.h"
#include "harness/verify.h"
#include "runtime/engine_impl.h"

namespace birkhoff::harness {

namespace {

bool SameDecision(const Choice& a, const Choice& b) {
  return a.op == b.op && a.kernel == b.kernel && a.how == b.how && a.launch == b.launch &&
         std::equal(a.table.begin(), a.table.end(), b.table.begin(), b.table.end(),
                    [](const KernelRow& x, const KernelRow& y) {
                      return x.kernel == y.kernel && x.why_not == y.why_not;
                    });
}

// The rule of Select(), on a suite, which knows its kernels by number.
Choice Decide(const Suite& suite, int c, const Device& device) {
  Choice choice = {.op = std::string(suite.op()), .how = "first that accepts"};
  for (int k = 0; k < suite.kernels(); ++k) {
    const std::string name(suite.kernel_name(k));
    std::string why_not = WrongDevice(suite.device(k), device).why();
    if (why_not.empty()) why_not = suite.Refuses(c, k, device).why();
    if (why_not.empty() && !choice.kernel.empty()) why_not = "a better one accepts";
    if (why_not.empty()) {
      choice.kernel = name;
      choice.launch = suite.Launch(c, k);
    }
    choice.table.push_back({name, std::move(why_not)});
  }
  return choice;
}

Choice FromSelection(std::string_view op, const Selection& selection) {
  Choice choice = {.op = std::string(op),
                   .kernel = std::string(selection.kernel),
                   .how = std::string(selection.how)};
  for (const Considered& row : selection.considered) {
    choice.table.push_back({std::string(row.kernel), row.why_not});
  }
  return choice;
}

Result<const Suite*> FindSuite(const std::string& op) {
  std::vector<std::string_view> names;
  for (const std::unique_ptr<Suite>& suite : AllSuites()) {
    if (suite->op() == op) return suite.get();
    names.push_back(suite->op());
  }
  return Status::NotFound(fmt::format("no op '{}'; ops: {}", op, fmt::join(names, " ")));
}

ExplainedGraph Explain(std::string name, const graph::Plan& plan) {
  const graph::Graph& graph = plan.graph();
  ExplainedGraph explained = {
      .name = std::move(name), .text = graph::ToText(graph), .dot = graph::ToDot(graph)};
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
    graph::NodeSummary summary = graph::Summarise(graph, n);
    ExplainedNode node = {.text = graph::ToText(graph, n),
                          .op = std::move(summary.op),
                          .operands = std::move(summary.operands),
                          .results = std::move(summary.results),
                          .types = std::move(summary.types),
                          .attributes = std::move(summary.attributes),
                          .label = std::move(summary.label)};
    if (const ops::Prepared* prepared = plan.prepared(n); prepared != nullptr) {
      Choice choice = FromSelection(node.op, prepared->selection());
      node.kernel = choice.kernel;
      const auto same = std::find_if(explained.choices.begin(), explained.choices.end(),
                                     [&](const Choice& c) { return SameDecision(c, choice); });
      const auto at = static_cast<std::size_t>(same - explained.choices.begin());
      if (same == explained.choices.end()) explained.choices.push_back(std::move(choice));
      ++explained.choices[at].nodes;
    }
    explained.nodes.push_back(std::move(node));
  }
  return explained;
}

}  // namespace

Result<std::vector<Choice>> ExplainOp(const std::string& op, const std::string& case_name,
                                      const Device& device) {
  BK_ASSIGN_OR_RETURN(const Suite* suite, FindSuite(op));
  std::vector<Choice> choices;
  std::vector<std::string_view> names;
  const bool gpu = device.kind == DeviceKind::kGpu;
  for (int c = 0; c < (gpu ? suite->bench_cases() : suite->cases()); ++c) {
    if (!suite->is_dense(c)) names.push_back(suite->case_name(c));
    const bool wanted = case_name.empty() ? suite->is_bench(c) && !suite->is_dense(c)
                                          : Matches(suite->case_name(c), case_name);
    if (!wanted) continue;
    Choice choice = Decide(*suite, c, device);
    const auto same = std::find_if(choices.begin(), choices.end(), [&](const Choice& other) {
      return SameDecision(other, choice);
    });
    Choice& decided = same != choices.end() ? *same : choices.emplace_back(std::move(choice));
    decided.cases.push_back(suite->case_name(c));
  }
  if (choices.empty()) {
    return Status::NotFound(fmt::format("no case of {} matches '{}'; cases: {}", op, case_name,
                                        fmt::join(names, ", ")));
  }
  return choices;
}

std::vector<ExplainedGraph> ExplainModel(Engine& engine) {
  std::vector<ExplainedGraph> graphs;
  const runtime::ModelFusion& fusion = engine.impl().fusion();
  graphs.push_back(Explain("trunk", engine.impl().trunk().plan()));
  graphs.back().fusion = fusion.trunk;
  if (engine.impl().draft() != nullptr) {
    graphs.push_back(Explain("draft", engine.impl().draft()->plan()));
    if (fusion.draft) graphs.back().fusion = *fusion.draft;
  }
  return graphs;
}

}  // namespace birkhoff::harness
