// birkhoff perplexity: how well a model predicts a text.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "flags.h"
#include "input.h"
#include "json_out.h"
#include "progress.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples = R"(birkhoff perplexity --file article.txt
birkhoff perplexity --file article.txt --context 4096 --stride 4095 --json
birkhoff perplexity --ids-file held_out.ids --precision f32)";

constexpr std::int64_t kDefaultWindow = 2048;  // tokens

struct PerplexityFlags {
  ModelFlags model = {};
  InputFlags input = {};
  std::int64_t stride = 0;
  bool no_bos = false;
  bool json = false;
};

struct Windows {
  std::int64_t length = 0;
  std::int64_t stride = 0;
};

struct Likelihood {
  double nll = 0;  // summed, in nats
  std::int64_t tokens = 0;
};

Result<Windows> ChooseWindows(const PerplexityFlags& flags, const Engine& engine) {
  Windows w;
  w.length = engine.info().context;
  if (flags.model.context == 0) w.length = std::min(w.length, kDefaultWindow);
  w.stride = flags.stride == 0 ? std::max<std::int64_t>(1, w.length / 2) : flags.stride;
  if (w.length < 2) {
    return Status::InvalidArgument(fmt::format(
        "--context {}: expected at least 2 tokens, one to score and one before it", w.length));
  }
  if (w.stride >= w.length) {  // the first token of a window has nothing before it
    return Status::InvalidArgument(
        fmt::format("--stride {}: expected less than the window of {} tokens (--context), so that "
                    "windows overlap and every token but the first is scored",
                    w.stride, w.length));
  }
  return w;
}

// Every token but the first is scored once, in the first window that holds it and a token before.
Result<Likelihood> Measure(Engine& engine, std::span<const std::int32_t> ids, const Windows& w) {
  ProgressBar bar;
  const auto size = static_cast<std::int64_t>(ids.size());
  Likelihood sum;
  std::int64_t scored = 1;  // ids[0 .. scored - 1] are done
  for (std::int64_t begin = 0; scored < size; begin += w.stride) {
    const std::int64_t end = std::min(size, begin + w.length);
    const auto window =
        ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    BK_ASSIGN_OR_RETURN(const ScoreResult result, engine.Score(window, {.top = 0}));
    // token_logprobs[i] is that of window[i + 1].
    for (std::int64_t i = scored; i < end; ++i, ++sum.tokens) {
      sum.nll -= result.token_logprobs[static_cast<std::size_t>(i - begin - 1)];
    }
    scored = end;
    bar.Update("scoring", scored, size);
  }
  return sum;
}

Result<Exit> Perplexity(const PerplexityFlags& flags) {
  BK_ASSIGN_OR_RETURN(const Input input, ReadInput(flags.input));
  if (!input.text && !input.ids) {
    return Status::InvalidArgument("no input: expected --file, --ids-file, --text or a pipe");
  }
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(flags.model));
  BK_ASSIGN_OR_RETURN(const Windows windows, ChooseWindows(flags, *engine));
  BK_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, InputIds(*engine, input, flags.no_bos));
  if (ids.size() < 2) {
    return Status::InvalidArgument(
        fmt::format("expected at least 2 tokens, found {}: the first is never scored", ids.size()));
  }
  const auto start = std::chrono::steady_clock::now();
  BK_ASSIGN_OR_RETURN(const Likelihood sum, Measure(*engine, ids, windows));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const double nll = sum.nll / static_cast<double>(sum.tokens);
  if (flags.json) {
    PrintJson({{"nll", nll},
               {"perplexity", std::exp(nll)},
               {"tokens", sum.tokens},
               {"context", windows.length},
               {"stride", windows.stride},
               {"seconds", JsonFigure(took.count())}});
  } else {
    fmt::print("perplexity {:.4f}   nll {:.5f} nats per token   {} tokens scored\n", std::exp(nll),
               nll, sum.tokens);
  }
  return Exit::kOk;
}

}  // namespace

void AddPerplexity(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<PerplexityFlags>();
  Flags flags(app, "perplexity", "Measure how well a model predicts a text, in sliding windows.",
              kExamples);
  AddModelFlags(flags, f->model);
  AddTextFlags(flags, f->input);
  AddIdFlags(flags, f->input);
  flags
      .Optional("--stride", f->stride, "TOKENS",
                "tokens from one window to the next, less than a window (default: half a window, "
                "which is --context or, without it, at most 2048 tokens)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  flags.Switch("--no-bos", f->no_bos, "do not put the begin token in front of a text");
  flags.Switch("--json", f->json, "print one JSON object");
  flags.app().callback([f, &chosen] { chosen = [f] { return Perplexity(*f); }; });
}

}  // namespace birkhoff::cli
