// Which fusions a model is run with.
//
// A fusion puts one op in the place of several; `birkhoff explain` lists them, what each found and
// what it saves. Levels fill what the lists leave open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

enum class FusionLevel : std::uint8_t {
  kO0,  // none: every op by itself
  kO1,  // those that give the bits of the ops that they replace
  kO2,  // and those that round less often, in the same way for every batch
  kO3,  // and those that sum in another order
};

enum class FusionStrict : std::uint8_t {
  kOff,
  kWarn,   // a fusion that finds another number than the model has, or that was asked for by name
           // and finds nothing, is a note of ModelInfo
  kError,  // it fails the load, with the reason and the op that was in the way
};

struct FusionSettings {
  FusionLevel level = FusionLevel::kO2;
  std::vector<std::string> enable = {};   // by name, whatever the level
  std::vector<std::string> disable = {};  // by name, whatever the level; wins over enable
  std::vector<std::string> only = {};     // if any: these and no others
  FusionStrict strict = FusionStrict::kWarn;
};

}  // namespace birkhoff
