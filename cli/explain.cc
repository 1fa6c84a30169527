// birkhoff explain: which kernel computes what, and why no other.
#include "harness/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "birkhoff/device.h"
#include "explain_fusion.h"
#include "flags.h"
#include "generation.h"
#include "json_out.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples =
    R"(birkhoff explain rms_norm                          one op: its kernels and their refusals
birkhoff explain linear --case '*mxfp4*' --isa avx2
birkhoff explain mhc_boundary --device gpu         and how it would be launched
birkhoff explain --model DIR                       the graph, its fusions, and every choice in it
birkhoff explain --model DIR --fusion.strict       fail where a fusion does not find what there is
birkhoff explain --model DIR --json                the same for machines
birkhoff explain --format dot | dot -Tsvg > graph.svg)";

struct ExplainFlags {
  ModelFlags model = {};
  std::string op = {};
  std::string case_name = {};
  std::string format = "text";
  bool json = false;
  std::string device = "cpu";
};

std::string Problem(const harness::Choice& choice) {
  if (choice.cases.empty()) {
    return fmt::format("{} node{}", choice.nodes, choice.nodes == 1 ? "" : "s");
  }
  const std::size_t more = choice.cases.size() - 1;
  return choice.cases.front() + (more > 0 ? fmt::format(", {} more", more) : "");
}

std::string ToText(const harness::Choice& choice) {
  std::string text =
      fmt::format("{}  [{}] -> {}  ({})\n", choice.op, Problem(choice), choice.kernel, choice.how);
  std::size_t width = 0;
  for (const harness::KernelRow& row : choice.table) width = std::max(width, row.kernel.size());
  for (const harness::KernelRow& row : choice.table) {
    text += fmt::format("  {:<{}}  {}\n", row.kernel, width,
                        row.why_not.empty() ? "chosen" : row.why_not);
  }
  if (!choice.launch.empty()) text += fmt::format("  launch: {}\n", choice.launch);
  return text;
}

Json ToJson(const std::vector<harness::Choice>& choices) {
  Json list = Json::array();
  for (const harness::Choice& choice : choices) {
    Json table = Json::array();
    for (const harness::KernelRow& row : choice.table) {
      Json entry = {{"kernel", row.kernel}};
      if (!row.why_not.empty()) entry["why_not"] = row.why_not;
      table.push_back(std::move(entry));
    }
    Json entry = {{"op", choice.op},
                  {"kernel", choice.kernel},
                  {"how", choice.how},
                  {"table", std::move(table)}};
    if (!choice.launch.empty()) entry["launch"] = choice.launch;
    if (choice.nodes > 0) entry["nodes"] = choice.nodes;
    if (!choice.cases.empty()) entry["cases"] = choice.cases;
    list.push_back(std::move(entry));
  }
  return list;
}

Json ToJson(const harness::ExplainedGraph& graph) {
  Json nodes = Json::array();
  for (const harness::ExplainedNode& node : graph.nodes) {
    nodes.push_back({{"op", node.op},
                     {"operands", node.operands},
                     {"results", node.results},
                     {"types", node.types},
                     {"attributes", node.attributes},
                     {"label", node.label},
                     {"kernel", node.kernel.empty() ? Json(nullptr) : Json(node.kernel)}});
  }
  return {{"graph", graph.name},
          {"fusion", FusionJson(graph.fusion)},
          {"nodes", std::move(nodes)},
          {"choices", ToJson(graph.choices)}};
}

std::string ToText(const harness::ExplainedGraph& graph) {
  std::string text = fmt::format("graph {}\n{}\nfusions of {}\n{}\nkernels of {}\n", graph.name,
                                 graph.text, graph.name, FusionText(graph.fusion), graph.name);
  for (const harness::Choice& choice : graph.choices) text += ToText(choice);
  return text;
}

Result<Exit> ExplainOp(const ExplainFlags& flags) {
  if (flags.format == "dot") {
    return Status::InvalidArgument(
        "--format dot: expected text or json for one op, a graph has dot");
  }
  Device device = HostDevice();
  device.isa = std::min(device.isa, MaxIsa(flags.model.isa));
  if (flags.device == "gpu") {
    if (FirstGpu().device == nullptr)
      return Status::Unsupported(fmt::format("--device gpu: {}", FirstGpu().why_not));
    device = *FirstGpu().device;
  }
  BK_ASSIGN_OR_RETURN(const std::vector<harness::Choice> choices,
                      harness::ExplainOp(flags.op, flags.case_name, device));
  if (flags.format == "json") {
    PrintJson(ToJson(choices));
    return Exit::kOk;
  }
  for (const harness::Choice& choice : choices) Emit(ToText(choice));
  return Exit::kOk;
}

Result<Exit> ExplainModel(const ExplainFlags& flags) {
  if (flags.device != "cpu") {
    return Status::InvalidArgument("--device gpu: expected an op, models run on the CPU");
  }
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(flags.model));
  Json json = Json::array();
  for (const harness::ExplainedGraph& graph : harness::ExplainModel(*engine)) {
    if (flags.format == "json") {
      json.push_back(ToJson(graph));
    } else {
      Emit(flags.format == "dot" ? graph.dot : ToText(graph));
    }
  }
  if (flags.format == "json") PrintJson(json);
  return Exit::kOk;
}

}  // namespace

void AddExplain(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<ExplainFlags>();
  Flags flags(app, "explain",
              "Show a model's graph, and for each op every kernel with its refusal.", kExamples);
  flags.app().add_option("op", f->op, "explain the kernel table of this op instead of a model");
  AddModelFlags(flags, f->model);
  flags.Subject("--case", f->case_name, "PATTERN",
                "with an op: cases to decide (default: those of 'birkhoff bench ops')");
  flags.Value("--device", f->device, "DEVICE", "with an op: cpu or gpu, whose kernels decide")
      ->check(CLI::IsMember({"cpu", "gpu"}));
  flags.Value("--format", f->format, "FORMAT", "text, dot (Graphviz) or json")
      ->check(CLI::IsMember({"text", "dot", "json"}));
  flags.SubjectSwitch("--json", f->json, "the same as --format json");
  flags.app().callback([f, &chosen] {
    chosen = [f] {
      if (f->json) f->format = "json";
      return f->op.empty() ? ExplainModel(*f) : ExplainOp(*f);
    };
  });
}

}  // namespace birkhoff::cli
