// Where a model's weights come from: a checkpoint on disk, or memory in tests and benchmarks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "birkhoff/tensor.h"

namespace birkhoff::models {

// Names are the checkpoint's own; a model knows the spellings that it accepts. The views stay valid
// as long as the source lives, and may be read from many threads.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  // Every tensor of the source, in a fixed order.
  virtual std::vector<std::string> Names() const = 0;

  // Errors   kNotFound     the source has no tensor of that name
  //          kUnsupported  it has one whose dtype has no DType
  virtual Result<ConstTensorView> Find(std::string_view name) const = 0;

  // "file: tensor", for messages.
  virtual std::string Where(std::string_view name) const = 0;
};

}  // namespace birkhoff::models
