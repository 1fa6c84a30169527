// A checkpoint folder as the source of a model's weights.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "models/weight_source.h"

namespace birkhoff::models {

class CheckpointSource : public WeightSource {
 public:
  explicit CheckpointSource(io::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}

  std::vector<std::string> Names() const override { return checkpoint_.names(); }
  Result<ConstTensorView> Find(std::string_view name) const override {
    return checkpoint_.Find(name);
  }
  std::string Where(std::string_view name) const override {
    return checkpoint_.FileOf(name) + ": " + std::string(name);
  }

 private:
  io::Checkpoint checkpoint_;
};

}  // namespace birkhoff::models
