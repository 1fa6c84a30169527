#include "generation.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "birkhoff/bandwidth.h"
#include "interrupt.h"
#include "progress.h"

namespace birkhoff::cli {

namespace {

constexpr double kNotRun = std::numeric_limits<double>::quiet_NaN();

double ReadBandwidth(int threads) {
  static const double gb_per_s = MeasureReadBandwidth(threads);
  return gb_per_s;
}

double PerSecond(double count, double seconds) {
  return count > 0 && seconds > 0 ? count / seconds : kNotRun;
}

// The first token comes out of the prefill, the others out of decode steps.
std::int64_t DecodedTokens(const GenerateStats& stats) {
  return std::max<std::int64_t>(0, stats.generated_tokens - 1);
}

}  // namespace

Result<Generated> GenerateTokens(Engine& engine, Session& session,
                                 std::span<const std::int32_t> prompt,
                                 const GenerateOptions& options,
                                 const std::function<void(std::int32_t)>& on_token) {
  ProgressBar bar;
  const InterruptScope interrupt;
  Generated generated;
  const auto take = [&](std::int32_t token) {
    bar.Clear();
    generated.ids.push_back(token);
    on_token(token);
    return !interrupt.interrupted();
  };
  BK_ASSIGN_OR_RETURN(generated.stats,
                      engine.Generate(session, prompt, options, take, bar.Callback()));
  return generated;
}

std::string_view StopName(GenerateStats::Stop stop) {
  switch (stop) {
    case GenerateStats::Stop::kMaxTokens: return "max_tokens";
    case GenerateStats::Stop::kEos: return "eos";
    case GenerateStats::Stop::kContext: return "context";
    case GenerateStats::Stop::kCaller: return "interrupted";
  }
  return "?";
}

Speed MeasureSpeed(const Engine& engine, const GenerateStats& stats) {
  const double step_gb = static_cast<double>(engine.info().bytes_per_decoded_token) / 1e9;
  Speed speed;
  speed.prefill_tokens_per_s =
      PerSecond(static_cast<double>(stats.prompt_tokens), stats.prefill_seconds);
  speed.decode_tokens_per_s =
      PerSecond(static_cast<double>(DecodedTokens(stats)), stats.decode_seconds);
  speed.decode_gb_per_s =
      PerSecond(step_gb * static_cast<double>(stats.decode_steps), stats.decode_seconds);
  speed.read_gb_per_s = ReadBandwidth(engine.options().threads);
  speed.bandwidth_fraction = speed.decode_gb_per_s / speed.read_gb_per_s;
  return speed;
}

std::string SpeedLine(const GenerateStats& stats, const Speed& speed) {
  std::string line = fmt::format("prefill {} tokens at {:.4g} tok/s", stats.prompt_tokens,
                                 speed.prefill_tokens_per_s);
  if (stats.decode_steps > 0) {
    line += fmt::format(
        "; decode {} tokens at {:.4g} tok/s, {:.3g} GB/s = {:.0f} % of the measured {:.3g} GB/s",
        DecodedTokens(stats), speed.decode_tokens_per_s, speed.decode_gb_per_s,
        speed.bandwidth_fraction * 100, speed.read_gb_per_s);
  }
  if (stats.drafted > 0) {
    line += fmt::format("; drafts {} of {} accepted", stats.accepted, stats.drafted);
  }
  return line + fmt::format("; stop: {}", StopName(stats.stop));
}

void AddStats(Json& json, const GenerateStats& stats) {
  json["prompt_tokens"] = stats.prompt_tokens;
  json["generated_tokens"] = stats.generated_tokens;
  json["decode_steps"] = stats.decode_steps;
  json["drafted"] = stats.drafted;
  json["accepted"] = stats.accepted;
  json["stop"] = StopName(stats.stop);
}

void AddSpeed(Json& json, const Speed& speed) {
  json["prefill_tokens_per_s"] = JsonFigure(speed.prefill_tokens_per_s);
  json["decode_tokens_per_s"] = JsonFigure(speed.decode_tokens_per_s);
  json["decode_gb_per_s"] = JsonFigure(speed.decode_gb_per_s);
  json["read_gb_per_s"] = JsonFigure(speed.read_gb_per_s);
  json["bandwidth_fraction"] = JsonFigure(speed.bandwidth_fraction);
}

void Emit(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace birkhoff::cli
