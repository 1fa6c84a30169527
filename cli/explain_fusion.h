// What `birkhoff explain --model` says of fusions.
#pragma once

#include <string>

#include "graph/passes/engine.h"
#include "json_out.h"

namespace birkhoff::cli {

// A line for each fusion: found and expected, numerics, bytes saved; its misses below it.
std::string FusionText(const graph::FusionReport& report);

// The same, with every layer.
Json FusionJson(const graph::FusionReport& report);

}  // namespace birkhoff::cli
