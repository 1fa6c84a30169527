// From logits to the next token.
//
// The draw at a position is a function of the logits, the options, the tokens before it and (seed,
// position). It does not depend on how many draws came before, so speculative and plain decoding
// draw the same tokens.
//
// Order     Repetition penalty; greedy when temperature is 0; temperature; top-k; top-p; min-p;
//           draw.
// Numerics  Probabilities in double; ties in a ranking go to the lower token id.
// Source    Penalty as in the CTRL paper (Keskar et al. 2019, section 4.1): a positive logit is
//           divided by it, a negative one multiplied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "birkhoff/engine.h"
#include "birkhoff/status.h"

namespace birkhoff::runtime {

// kInvalidArgument when an option is out of range; the message names it.
Status Validate(const SamplingOptions& options);

class Sampler {
 public:
  // `options` are valid. Everything a draw needs is allocated here.
  Sampler(const SamplingOptions& options, std::int64_t vocab);

  // The token at `position`, which follows `history`. NaN logits rank lowest.
  std::int32_t Draw(std::span<const float> logits, std::span<const std::int32_t> history,
                    std::int64_t position);

 private:
  struct Candidate {
    float logit = 0;
    std::int32_t token = 0;
  };

  void Penalise(std::span<const std::int32_t> history);
  std::size_t KeepTopK();
  std::size_t KeepTopP(std::size_t kept, double total);

  SamplingOptions options_ = {};
  std::vector<Candidate> candidates_ = {};     // [vocab]
  std::vector<double> weight_ = {};            // [vocab] exp(logit - max), in candidate order
  std::vector<std::uint32_t> penalised_ = {};  // [vocab] number of the draw that last penalised it
  std::uint32_t draws_ = 0;
};

// Index of the largest logit, the lowest of equals; NaN ranks lowest.
std::int32_t ArgMax(std::span<const float> logits);

}  // namespace birkhoff::runtime
