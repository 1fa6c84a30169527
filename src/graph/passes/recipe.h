// A fusion recipe: what is looked for, when it may be replaced and by what. One file each.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/refusal.h"
#include "birkhoff/device.h"
#include "graph/passes/match.h"
#include "graph/passes/pattern.h"
#include "graph/passes/rewrite.h"

namespace birkhoff::graph {

// They run one after another.
enum class Phase : std::uint8_t { kMerge, kStructure, kCollective, kState, kFoldQuant };

// The lowest that switches a recipe on. O0: none, O2: the default.
enum class Level : std::uint8_t { kO0, kO1, kO2, kO3 };

enum class Numerics : std::uint8_t {
  kSameBits,        // those of the pattern's ops one after another
  kFewerRoundings,  // what lies between stays wider; independent of T and of the row
  kReordered,       // sums in another, fixed order
};

// What a recipe expects to find in a layer follows from this.
struct LayerInfo {
  std::string_view model = {};  // "deepseek_v4"
  int layer = 0;
  int layers = 0;          // of the model
  int compress_ratio = 0;  // 0: none
};

struct Recipe {
  std::string_view name = {};
  Phase phase = Phase::kStructure;
  Level level = Level::kO2;
  Numerics numerics = Numerics::kSameBits;
  void (*pattern)(PatternBuilder& b) = nullptr;
  // Why a match may not be replaced although nothing depends on it; null: always may.
  Refusal (*guard)(const Graph& graph, const Binding& binding, const Pattern& pattern) = nullptr;
  // Whether it pays on a device; null: on all.
  Refusal (*pays)(const Device& device) = nullptr;
  std::vector<Value> (*emit)(Emitter& e) = nullptr;
  std::vector<std::string_view> before = {};  // recipes of the same phase
  std::vector<std::string_view> after = {};
  int (*expected)(const LayerInfo& layer) = nullptr;  // matches; null: not checked
};

}  // namespace birkhoff::graph
