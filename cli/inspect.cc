// birkhoff inspect: what a checkpoint holds and what it needs.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flags.h"
#include "harness/inspect.h"
#include "harness/verify.h"
#include "input.h"
#include "json_out.h"
#include "table.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples = R"(birkhoff inspect
birkhoff inspect --tensors 'layers.0.attn*'        reads headers only
birkhoff inspect --model DIR --context 131072      the memory that a long context needs
birkhoff inspect --json > model.json)";

struct InspectFlags {
  ModelFlags model = {};
  std::optional<std::string> tensors = {};
  bool json = false;
};

Json ToJson(const harness::TensorInfo& t) {
  return {{"name", t.name},
          {"dtype", t.dtype},
          {"shape", Json::parse(t.shape)},
          {"bytes", t.bytes},
          {"file", t.file}};
}

Json ToJson(const harness::GraphInfo& g) {
  Json states = Json::array();
  for (const harness::StateInfo& s : g.states) {
    states.push_back({{"name", s.name},
                      {"dtype", s.dtype},
                      {"rows", s.rows},
                      {"width", s.width},
                      {"bytes", s.bytes}});
  }
  return {{"name", g.name},
          {"nodes", g.nodes},
          {"state_bytes_per_sequence", g.state_bytes},
          {"arena_bytes", g.arena_bytes},
          {"scratch_bytes", g.scratch_bytes},
          {"states", std::move(states)}};
}

Json ToJson(const ModelInfo& info) {
  return {{"type", info.type},
          {"vocab", info.vocab},
          {"hidden", info.hidden},
          {"layers", info.layers},
          {"context", info.context},
          {"parameters", info.parameters},
          {"weight_bytes", info.weight_bytes},
          {"bytes_per_decoded_token", info.bytes_per_decoded_token},
          {"has_draft", info.has_draft},
          {"bos", info.bos},
          {"eos", info.eos},
          {"notes", info.notes}};
}

Json ToJson(const harness::MemoryInfo& memory) {
  Json graphs = Json::array();
  for (const harness::GraphInfo& g : memory.graphs) graphs.push_back(ToJson(g));
  return {{"weight_bytes", memory.weight_bytes},
          {"step_tokens", memory.step_tokens},
          {"sequences", memory.sequences},
          {"graphs", std::move(graphs)}};
}

void PrintTensors(const std::vector<harness::TensorInfo>& tensors) {
  Table table({"tensor", "dtype", "shape", ">bytes", "file"});
  std::int64_t bytes = 0;
  for (const harness::TensorInfo& t : tensors) {
    table.Row({t.name, t.dtype, t.shape, fmt::format("{}", t.bytes), t.file});
    bytes += t.bytes;
  }
  fmt::print("{}{} tensor{}, {}\n", table.ToString(), tensors.size(),
             tensors.size() == 1 ? "" : "s", Bytes(static_cast<double>(bytes)));
}

void PrintTypes(const std::vector<harness::TensorInfo>& tensors) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> types;  // tensors, bytes
  for (const harness::TensorInfo& t : tensors) {
    ++types[t.dtype].first;
    types[t.dtype].second += t.bytes;
  }
  Table table({"dtype", ">tensors", ">size"});
  for (const auto& [dtype, sum] : types) {
    table.Row({dtype, fmt::format("{}", sum.first), Bytes(static_cast<double>(sum.second))});
  }
  fmt::print("\ncheckpoint (--tensors '*' lists all)\n{}", table.ToString());
}

void PrintModel(const ModelInfo& info) {
  Table table({"model", info.type});
  const auto row = [&](const char* name, auto value) {
    table.Row({name, fmt::format("{}", value)});
  };
  row("layers", info.layers);
  row("hidden", info.hidden);
  row("vocabulary", info.vocab);
  row("context", fmt::format("{} tokens", info.context));
  row("parameters", fmt::format("{:.4g} million", static_cast<double>(info.parameters) / 1e6));
  row("read per decoded token", Bytes(static_cast<double>(info.bytes_per_decoded_token)));
  row("draft (MTP) layer", info.has_draft ? "yes" : "no");
  row("begin, end tokens", fmt::format("{}, {}", info.bos, fmt::join(info.eos, " ")));
  fmt::print("{}", table.ToString());
  for (const std::string& note : info.notes) fmt::print("note: {}\n", note);
}

void PrintMemory(const harness::MemoryInfo& memory) {
  Table table({"memory", ">size", "what"});
  const auto row = [&](std::string name, std::int64_t bytes, std::string what) {
    table.Row({std::move(name), Bytes(static_cast<double>(bytes)), std::move(what)});
  };
  row("weights", memory.weight_bytes, "mapped from the checkpoint");
  for (const harness::GraphInfo& g : memory.graphs) {
    row(g.name + " state", g.state_bytes, "per sequence at full context; touched as it grows");
    row(g.name + " arena", g.arena_bytes,
        fmt::format("activations of a step of {} tokens, {} nodes", memory.step_tokens, g.nodes));
    row(g.name + " scratch", g.scratch_bytes, "of the hungriest kernel");
  }
  fmt::print("\n{}", table.ToString());
  Table states({"state", "dtype", ">rows", ">width", ">size"});
  for (const harness::GraphInfo& g : memory.graphs) {
    for (const harness::StateInfo& s : g.states) {
      states.Row({s.name, s.dtype, fmt::format("{}", s.rows), fmt::format("{}", s.width),
                  Bytes(static_cast<double>(s.bytes))});
    }
  }
  fmt::print("\n{}", states.ToString());
}

// Tensors whose names match; all when there is no pattern.
Result<std::vector<harness::TensorInfo>> Tensors(const std::string& folder,
                                                 const std::optional<std::string>& pattern) {
  BK_ASSIGN_OR_RETURN(std::vector<harness::TensorInfo> tensors, harness::ListTensors(folder));
  if (!pattern) return tensors;
  std::erase_if(tensors,
                [&](const harness::TensorInfo& t) { return !harness::Matches(t.name, *pattern); });
  if (tensors.empty()) {
    return Status::NotFound(fmt::format("no tensor of {} matches '{}'", folder, *pattern));
  }
  return tensors;
}

Json TensorsJson(const std::vector<harness::TensorInfo>& tensors) {
  Json list = Json::array();
  for (const harness::TensorInfo& t : tensors) list.push_back(ToJson(t));
  return list;
}

Result<Exit> Inspect(InspectFlags flags) {
  BK_ASSIGN_OR_RETURN(flags.model.model, ModelFolder(flags.model));
  const std::string& folder = flags.model.model;
  BK_ASSIGN_OR_RETURN(const std::vector<harness::TensorInfo> tensors,
                      Tensors(folder, flags.tensors));
  if (flags.tensors) {
    if (flags.json) {
      PrintJson({{"tensors", TensorsJson(tensors)}});
    } else {
      PrintTensors(tensors);
    }
    return Exit::kOk;
  }
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(flags.model));
  const harness::MemoryInfo memory = harness::DescribeMemory(*engine);
  if (flags.json) {
    BK_ASSIGN_OR_RETURN(const std::string config, ReadAll(folder + "/config.json"));
    PrintJson({{"model", ToJson(engine->info())},
               {"config", Json::parse(config, nullptr, /*allow_exceptions=*/false)},
               {"memory", ToJson(memory)},
               {"tensors", TensorsJson(tensors)}});
    return Exit::kOk;
  }
  PrintModel(engine->info());
  PrintTypes(tensors);
  PrintMemory(memory);
  return Exit::kOk;
}

}  // namespace

void AddInspect(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<InspectFlags>();
  Flags flags(app, "inspect", "Show the tensors, the configuration and the memory plan of a model.",
              kExamples);
  AddModelFlags(flags, f->model);
  flags.Subject("--tensors", f->tensors, "PATTERN",
                "only list the tensors whose names match (* and ?), without loading the model");
  flags.Switch("--json", f->json, "print one JSON object; sizes are in bytes");
  flags.app().callback([f, &chosen] { chosen = [f] { return Inspect(*f); }; });
}

}  // namespace birkhoff::cli
