#include "harness/inspect.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "runtime/engine_impl.h"

namespace birkhoff::harness {

namespace {

GraphInfo Describe(std::string name, const graph::Plan& plan) {
  GraphInfo info;
  info.name = std::move(name);
  info.nodes = static_cast<std::int64_t>(plan.graph().nodes.size());
  for (const graph::State& state : plan.graph().states) {
    info.states.push_back({.name = state.name,
                           .dtype = std::string(Name(state.dtype)),
                           .rows = state.capacity,
                           .width = state.width,
                           .bytes = state.bytes_per_slot()});
    info.state_bytes += state.bytes_per_slot();
  }
  info.arena_bytes = plan.memory().arena_bytes;
  info.scratch_bytes = plan.scratch_bytes();
  return info;
}

}  // namespace

Result<std::vector<TensorInfo>> ListTensors(const std::string& folder) {
  BK_ASSIGN_OR_RETURN(const io::Checkpoint checkpoint, io::Checkpoint::Open(folder));
  std::set<std::string> paths;
  for (const std::string& name : checkpoint.names()) paths.insert(checkpoint.FileOf(name));
  std::vector<TensorInfo> tensors;
  for (const std::string& path : paths) {
    // From the header and not as a view: that would need a DType.
    BK_ASSIGN_OR_RETURN(const io::SafetensorsFile file, io::SafetensorsFile::Open(path));
    for (const io::TensorEntry& entry : file.tensors()) {
      tensors.push_back({.name = entry.name,
                         .dtype = entry.dtype_name,
                         .shape = entry.shape.ToString(),
                         .bytes = static_cast<std::int64_t>(entry.end - entry.begin),
                         .file = std::filesystem::path(path).filename().string()});
    }
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return tensors;
}

MemoryInfo DescribeMemory(Engine& engine) {
  MemoryInfo info;
  info.weight_bytes = engine.info().weight_bytes;
  info.step_tokens = engine.options().max_step_tokens;
  info.sequences = engine.options().max_sessions;
  info.graphs.push_back(Describe("trunk", engine.impl().trunk().plan()));
  if (engine.impl().draft() != nullptr) {
    info.graphs.push_back(Describe("draft", engine.impl().draft()->plan()));
  }
  return info;
}

}  // namespace birkhoff::harness
