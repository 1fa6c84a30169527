// What a model file hands to the runtime: graphs, and the facts needed to feed them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/recipe.h"

namespace birkhoff::models {

struct BuildOptions {
  DType activation = DType::kBF16;  // kF32: verification mode
  std::int64_t context = 0;         // longest sequence, for the extents of the state
  std::int64_t max_rewind = 0;      // tokens that a sequence may step back by: extents of the rings
  bool draft = false;               // also the draft graph, where the checkpoint has one
  bool taps = false;                // also the streams after every layer
  // A stage of a pipeline: layers [first_layer, end_layer), -1 standing for all. One that does not
  // begin with layer 0 is given "streams" besides ids; one that does not end with the last gives
  // them and no logits. It may be empty.
  std::int64_t first_layer = 0;
  std::int64_t end_layer = -1;
};

// Step inputs  ids i32 [T], positions i32 [T], rows i32 [R] (tokens whose logits are wanted).
// Outputs      "logits" f32 [R, V]; with a draft graph "streams" [T, hc, H] after the last layer;
//              with taps "streams.<layer>" [T, hc, H] after each.
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
  std::int64_t parameters = 0;    // of the trunk
  // Of the trunk: matrices as the checkpoint stores them, vectors in f32.
  std::int64_t weight_bytes = 0;
  std::int64_t bytes_per_decoded_token = 0;    // of those, what the trunk reads for one token
  std::shared_ptr<const void> constants = {};  // owns what the graphs point to besides the weights
};

}  // namespace birkhoff::models
