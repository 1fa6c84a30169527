// What a model file hands to the runtime: graphs, and the facts needed to feed them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/recipe.h"
#include "models/model_size.h"

namespace birkhoff::models {

// Latent attention of DeepSeek-V3: heads read the cached latent itself, with the up-projections
// moved to query and output; or keys and values of every head are made and cached. Equal but for
// rounding; absorbed, a token takes kv_lora + rope channels of cache instead of H (qk + v). kAuto
// is absorbed where the weights allow it.
enum class MlaForm : std::uint8_t { kAuto, kAbsorbed, kExpanded };

struct BuildOptions {
  DType activation = DType::kBF16;  // kF32: verification mode
  std::int64_t context = 0;         // longest sequence, for the extents of the state
  std::int64_t max_rewind = 0;      // tokens that a sequence may step back by: extents of the rings
  bool draft = false;               // also the draft graph, where the checkpoint has one
  bool taps = false;                // also the streams after every layer
  // A stage of a pipeline: layers [first_layer, end_layer), -1 standing for all; it may be empty.
  // One that does not begin with layer 0 is given "streams" besides ids; one that ends with the
  // last has the head, any other gives streams and no logits.
  std::int64_t first_layer = 0;
  std::int64_t end_layer = -1;
  MlaForm mla = MlaForm::kAuto;
};

// Step inputs  ids i32 [T], positions i32 [T], rows i32 [R] (tokens whose logits are wanted).
// Outputs      "logits" f32 [R, V]; with a draft graph "streams" [T, hc, H] after the last layer;
//              with taps "streams.<layer>" after each. Without hyper-connections streams are
//              [T, H].
//
// The draft graph has the same inputs, with ids one token ahead, and "streams" as a fourth.
struct BuiltModel {
  graph::Graph trunk = {};
  std::optional<graph::Graph> draft = {};
  std::vector<graph::LayerInfo> trunk_layers = {};  // what fusions may expect
  std::vector<graph::LayerInfo> draft_layers = {};
  std::int64_t vocab = 0;
  std::int64_t layers = 0;
  std::int64_t draft_window = 0;  // tokens that a draft depends on, back from its own position
  ModelSize size = {};            // of the trunk
  std::vector<std::string> notes = {};  // what a user should know about the graph
  // The checkpoint asks for inputs of linear layers in FP8 with a scale per token, which the graph
  // leaves as they are.
  bool fp8_activations = false;
  std::shared_ptr<const void> constants = {};  // owns what the graphs point to besides the weights
};

}  // namespace birkhoff::models
