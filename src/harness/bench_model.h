// The speed of a whole model against what the machine can do: what `birkhoff bench model` runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "birkhoff/engine.h"
#include "birkhoff/status.h"

namespace birkhoff::harness {

// An engine with random weights of the shape of a config.json: no checkpoint is needed to measure.
// `weights` is bf16, fp8, or release (fp8, experts MXFP4); options.model is ignored.
Result<std::unique_ptr<Engine>> LoadDummyEngine(const std::string& config,
                                                const std::string& weights,
                                                const EngineOptions& options);

struct BenchModelOptions {
  std::int64_t prompt_tokens = 512;
  std::int64_t decode_tokens = 64;
  int repetitions = 3;
  bool speculate = false;
  bool profile = false;  // also time per op, in a run of its own
};

// Over the repetitions.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

// Time of all nodes of one op.
struct OpTime {
  std::string op = {};
  int nodes = 0;
  double prefill_ms = 0;  // of the whole prompt
  double decode_ms = 0;   // of one step
};

struct BenchModelResult {
  Spread prefill_tokens_per_s = {};
  Spread decode_tokens_per_s = {};
  Spread decode_steps_per_s = {};
  double decode_gb_per_s = 0;    // weights read, at the median
  double read_gb_per_s = 0;      // ceiling: memory, measured in this run
  double prefill_gflops = 0;     // of the matrix products, at the median
  double matrix_gflops = 0;      // ceiling: a large linear product, measured in this run
  std::vector<OpTime> ops = {};  // with profile, hungriest decode first
};

// One warm-up and then `repetitions` times a prefill of random tokens and a greedy continuation.
//
// Errors   kInvalidArgument  nothing to measure
//          kOutOfRange       prompt and continuation exceed the context
Result<BenchModelResult> BenchModel(Engine& engine, const BenchModelOptions& options);

// Floating-point operations of the matrix products that the trunk makes for one token of a prompt.
double MatrixFlopsPerToken(Engine& engine);

}  // namespace birkhoff::harness
