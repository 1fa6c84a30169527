// One generation on behalf of `run`: tokens as they come, and what they cost.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/engine.h"
#include "json_out.h"

namespace birkhoff::cli {

struct Generated {
  std::vector<std::int32_t> ids = {};  // with the end token, if one came
  GenerateStats stats = {};
};

// Extends the session by the prompt and what follows it; on_token sees every token at once. Shows a
// progress bar during a long prefill. Ctrl-C ends the generation, not the program.
Result<Generated> GenerateTokens(Engine& engine, Session& session,
                                 std::span<const std::int32_t> prompt,
                                 const GenerateOptions& options,
                                 const std::function<void(std::int32_t)>& on_token);

std::string_view StopName(GenerateStats::Stop stop);

// How fast it was, and how close decoding came to what the memory can deliver.
struct Speed {
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;
  double decode_gb_per_s = 0;     // weights that decode steps read
  double read_gb_per_s = 0;       // of this machine, measured once per process
  double bandwidth_fraction = 0;  // the quotient of both
};

// NaN stands for what was not run. Takes about 0.5 s the first time.
Speed MeasureSpeed(const Engine& engine, const GenerateStats& stats);

// "prefill 17 tokens at 512 tok/s; decode 64 tokens at 89.1 tok/s, ..."
std::string SpeedLine(const GenerateStats& stats, const Speed& speed);

// Adds the fields of `run --json`.
void AddStats(Json& json, const GenerateStats& stats);
void AddSpeed(Json& json, const Speed& speed);

// Writes text to stdout at once.
void Emit(std::string_view text);

}  // namespace birkhoff::cli
