// Runs recipes over a graph and says what became of each.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/status.h"
#include "graph/passes/recipe.h"

namespace birkhoff::graph {

enum class Strict : std::uint8_t {
  kOff,
  kWarn,   // the report has misses
  kError,  // a recipe that finds less than it expects is an error
};

struct FusionOptions {
  Level level = Level::kO2;
  std::vector<std::string> enable = {};   // whatever the level
  std::vector<std::string> disable = {};  // whatever the level
  std::vector<std::string> only = {};     // these and no others, if any
  Strict strict = Strict::kWarn;
  const Device* device = nullptr;  // null: HostDevice()
  std::vector<LayerInfo> layers = {};
};

// A search that came further than its root and failed, or a match that was refused.
struct FusionMiss {
  int layer = -1;
  std::string root = {};   // the node in words
  std::string place = {};  // "model.cc:12"
  int step = 0;
  int steps = 0;
  std::string reason = {};  // "wanted rms_norm reading %4, saw add"
};

struct LayerMatches {
  int layer = -1;
  int matched = 0;
  int expected = 0;
};

struct RecipeReport {
  std::string name = {};
  Phase phase = Phase::kStructure;
  Level level = Level::kO2;
  Numerics numerics = Numerics::kSameBits;
  std::string off = {};  // why it did not run; empty: it did
  int matched = 0;
  std::optional<int> expected = {};
  std::vector<LayerMatches> layers = {};  // where the two differ
  std::vector<FusionMiss> misses = {};
  std::string starved_by = {};  // a recipe before it took what it would have found
};

struct FusionReport {
  std::vector<RecipeReport> recipes = {};  // in the order in which they ran
  int nodes_before = 0;
  int nodes_after = 0;
};

// Errors  kInvalidArgument  an option names an unknown recipe; before and after form a cycle
//         kNotFound         strict, and a recipe found less than it expects; the message has its
//                           deepest miss
//         kInternal         a recipe is wrong: its pattern does not build, its rewrite does not fit
Result<FusionReport> Fuse(Graph& graph, std::span<const Recipe* const> recipes,
                          const FusionOptions& options);

}  // namespace birkhoff::graph
