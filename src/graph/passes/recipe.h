// A fusion recipe: what is looked for, when it may be replaced and by what. One file each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/refusal.h"
#include "birkhoff/device.h"
#include "birkhoff/fusion.h"
#include "graph/passes/match.h"
#include "graph/passes/pattern.h"
#include "graph/passes/rewrite.h"

namespace birkhoff::graph {

// They run one after another.
enum class Phase : std::uint8_t { kMerge, kStructure, kCollective, kState, kFoldQuant };

using Level = FusionLevel;

enum class Numerics : std::uint8_t {
  kSameBits,        // those of the pattern's ops one after another
  kFewerRoundings,  // what lies between stays wider; independent of T and of the row
  kReordered,       // sums in another, fixed order
};

// What a recipe expects to find in a layer follows from this. Everything outside of layers is one
// more, with the number -1.
struct LayerInfo {
  std::string_view model = {};  // "deepseek_v4"
  std::string kind = {};        // layers of one kind are built alike: "ratio 4"
  int layer = 0;
  int layers = 0;              // that the graph has
  bool first = false;          // of the graph: nothing of a layer before it
  bool has_embedding = false;  // the graph begins with it
  bool has_head = false;       // and ends with that
  bool gives_streams = false;  // what the last layer leaves is an output too
};

struct Recipe {
  std::string_view name = {};
  int version = 1;  // of what it does, for the hash of a set of recipes
  Phase phase = Phase::kStructure;
  Level level = Level::kO2;
  Numerics numerics = Numerics::kSameBits;
  void (*pattern)(PatternBuilder& b) = nullptr;
  // Why a match may not be replaced although nothing depends on it; null: always may.
  Refusal (*guard)(const Graph& graph, const Binding& binding, const Pattern& pattern) = nullptr;
  // Why a match does not pay on a device, with the figure: it is left. Not asked of a recipe that
  // was asked for by name. Null: it always does.
  Refusal (*pays)(const Device& device, const Graph& graph, const Binding& binding,
                  const Pattern& pattern) = nullptr;
  // What it makes must not match the pattern again.
  std::vector<Value> (*emit)(Emitter& e) = nullptr;
  std::vector<std::string_view> after = {};           // runs after these, of the same phase
  std::vector<std::string_view> needs = {};           // the same, and not without them
  int (*expected)(const LayerInfo& layer) = nullptr;  // matches; null: not checked
};

}  // namespace birkhoff::graph
