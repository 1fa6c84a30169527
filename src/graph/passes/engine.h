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
#include "graph/traffic.h"

namespace birkhoff::graph {

// What a graph is fused for.
struct FusionTarget {
  const Device* device = nullptr;  // null: HostDevice()
  std::vector<LayerInfo> layers = {};
};

// A search that failed, or a match that was refused.
struct FusionMiss {
  int layer = -1;
  std::string root = {};   // the node in words
  std::string place = {};  // "model.cc:12"
  int step = 0;            // nodes of the pattern that were found
  int steps = 0;
  std::string reason = {};  // "wanted rms_norm reading %4, saw add"
};

struct LayerMatches {
  int layer = -1;
  int matched = 0;
  int gated = 0;  // found, but they would not pay on the device
  std::optional<int> expected = {};

  bool IsWrong() const { return expected && matched + gated != *expected; }
  bool Lacks() const { return expected && matched + gated < *expected; }
};

struct RecipeReport {
  std::string name = {};
  Phase phase = Phase::kStructure;
  Level level = Level::kO2;
  Numerics numerics = Numerics::kSameBits;
  std::string off = {};  // why it did not run; empty: it did
  int matched = 0;
  int gated = 0;
  std::string why_gated = {};  // the last of them
  std::optional<int> expected = {};
  std::vector<LayerMatches> layers = {};
  Traffic saved = {};
  std::vector<FusionMiss> misses = {};  // none where all that is expected is there
  std::string starved_by = {};          // a recipe before it took what it would have found
};

struct FusionReport {
  FusionLevel level = FusionLevel::kO2;
  std::uint64_t hash = 0;                  // of the recipes that ran, their versions and order
  std::vector<RecipeReport> recipes = {};  // in the order in which they ran
  std::vector<LayerInfo> layers = {};
  int nodes_before = 0;  // views left out
  int nodes_after = 0;
};

// The first layer in which a recipe did not find what it expects; null: there is none.
const LayerMatches* FirstWrong(const RecipeReport& report);

// The miss in or right before a layer (-1: anywhere) that came furthest, which is most likely what
// the layer lacks; null: there is none.
const FusionMiss* Deepest(const RecipeReport& report, int layer);

// What a strict run fails with: the recipe, what it found and its deepest miss. Empty: it found
// what it expects, no less and no more.
std::string Shortfall(const RecipeReport& report);

// Errors  kInvalidArgument  an option names an unknown recipe; recipes wait for each other
//         kNotFound         strict, and a recipe found another number than it expects; the message
//                           has its deepest miss
//         kInternal         a recipe is wrong: its pattern does not build, its rewrite does not fit
//         The graph may be fused in part.
Result<FusionReport> Fuse(Graph& graph, std::span<const Recipe* const> recipes,
                          const FusionSettings& settings, const FusionTarget& target = {});

}  // namespace birkhoff::graph
