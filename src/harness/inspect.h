// What a model consists of and what it needs in memory: what `birkhoff inspect` shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "birkhoff/engine.h"
#include "birkhoff/status.h"

namespace birkhoff::harness {

struct TensorInfo {
  std::string name = {};
  std::string dtype = {};  // as the file spells it
  std::string shape = {};  // "[256, 128]"
  std::int64_t bytes = 0;
  std::string file = {};  // without its folder
};

// Every tensor of the checkpoint, by name, also of types that Birkhoff has not. Reads headers only.
Result<std::vector<TensorInfo>> ListTensors(const std::string& folder);

struct StateInfo {
  std::string name = {};
  std::string dtype = {};
  std::int64_t rows = 0;   // of one sequence
  std::int64_t width = 0;  // elements of a row
  std::int64_t bytes = 0;  // of one sequence
};

// One planned graph: the trunk, or the draft layer.
struct GraphInfo {
  std::string name = {};
  std::int64_t nodes = 0;
  std::vector<StateInfo> states = {};
  std::int64_t state_bytes = 0;    // of one sequence at full context; pages are touched as it grows
  std::int64_t arena_bytes = 0;    // activations of the largest step
  std::int64_t scratch_bytes = 0;  // of the hungriest kernel
};

struct MemoryInfo {
  std::int64_t weight_bytes = 0;  // mapped from the files
  std::int64_t step_tokens = 0;   // what arena and scratch are made for
  std::int64_t sequences = 0;     // that the states have room for
  std::vector<GraphInfo> graphs = {};
};

MemoryInfo DescribeMemory(Engine& engine);

}  // namespace birkhoff::harness
