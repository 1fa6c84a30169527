// Rotation frequencies of rotary embeddings.
#pragma once

#include <cstdint>
#include <vector>

namespace birkhoff::models {

struct YarnScaling {
  double factor = 1;
  double original_positions = 0;  // context length that the base model was trained with
  double beta_fast = 32;
  double beta_slow = 1;
};

// f_i = base^(-2i / dim) radians per position for i in [0, dim / 2). With YaRN, f_i is divided by
// `factor` where the pair turns fewer than beta_slow times over the original context, kept where it
// turns more than beta_fast times, and blended linearly in between.
//
// Source   Peng et al. 2023 (YaRN); borders and rounding as in DeepSeek's inference code.
std::vector<double> RopeFrequencies(std::int64_t dim, double base, const YarnScaling* yarn);

}  // namespace birkhoff::models
