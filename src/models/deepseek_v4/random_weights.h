// A checkpoint of any size out of nothing, for tests and benchmarks: speed and memory of a model
// can be measured without its weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/reserved_memory.h"
#include "birkhoff/status.h"
#include "models/deepseek_v4/config.h"
#include "models/deepseek_v4/layout.h"
#include "models/weight_source.h"

namespace birkhoff {
class ThreadPool;
}

namespace birkhoff::models::deepseek_v4 {

// Every tensor of ReleaseTensors(). Values depend on config, quantisation and seed, not on the
// number of threads. Magnitudes keep activations sane through any number of layers: norm weights
// lie in [1, 1.12), linear weights near +-1/sqrt(columns); the experts of a token in a hash table
// are distinct.
class RandomWeights : public WeightSource {
 public:
  // Errors   kOutOfRange  the machine has not that much memory
  static Result<RandomWeights> Make(const Config& config, Quantisation quantisation,
                                    std::uint64_t seed, ThreadPool& pool);

  std::int64_t bytes() const { return static_cast<std::int64_t>(memory_.size()); }

  std::vector<std::string> Names() const override;
  Result<ConstTensorView> Find(std::string_view name) const override;
  std::string Where(std::string_view name) const override;

 private:
  ReservedMemory memory_ = {};
  std::map<std::string, ConstTensorView, std::less<>> tensors_ = {};
};

}  // namespace birkhoff::models::deepseek_v4
