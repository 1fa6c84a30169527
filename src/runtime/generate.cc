// Token by token, with or without drafts: the same tokens either way.
//
//   state  the session holds tokens 0 .. p - 1, `next` was drawn for position p, `draft` may be a
//          guess for p + 1
//   step   [next, draft] in one step; draw for p + 1 from the first row of logits
//          equal to the draft  both are in, draw for p + 2 from the second row
//          otherwise           step back by one; nothing else to undo, since the state is a
//                              function of the length
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "runtime/engine_impl.h"
#include "runtime/sampler.h"

namespace birkhoff {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

class Engine::Impl::Decoder {
 public:
  using Stop = GenerateStats::Stop;

  Decoder(Impl& engine, int slot, const GenerateOptions& options,
          const std::function<bool(std::int32_t)>& on_token)
      : e_(engine),
        slot_(slot),
        options_(options),
        on_token_(on_token),
        speculate_(options.speculate && engine.draft_ != nullptr),
        sampler_(options.sampling, engine.info().vocab) {}

  Result<GenerateStats> Run(std::span<const std::int32_t> prompt, const Progress& progress) {
    const Clock::time_point start = Clock::now();
    BK_ASSIGN_OR_RETURN(const std::span<const float> logits,
                        e_.Prefill(slot_, prompt, speculate_, progress));
    stats_.prompt_tokens = static_cast<std::int64_t>(prompt.size());
    stats_.prefill_seconds = SecondsSince(start);
    if (options_.max_tokens == 0) return stats_;

    const Clock::time_point decode = Clock::now();
    std::int32_t next = Draw(logits);
    const auto chunk = static_cast<std::size_t>(e_.options_.max_step_tokens);
    BK_RETURN_IF_ERROR(Guess(static_cast<std::int64_t>((prompt.size() - 1) % chunk), {&next, 1}));
    bool in_place = false;  // whether the state of `next` is there already
    while (!Emit(next)) BK_RETURN_IF_ERROR(Advance(next, in_place));
    stats_.decode_seconds = SecondsSince(decode);

    // What was reported belongs to the session, but for an end token.
    if (stats_.stop == Stop::kMaxTokens || stats_.stop == Stop::kCaller) {
      if (in_place) {
        Append(next);
      } else if (length() < e_.info().context) {
        BK_RETURN_IF_ERROR(e_.Extend(slot_, {&next, 1}, StepItem::Rows::kNone));
      }
    }
    return stats_;
  }

 private:
  std::int64_t length() const { return static_cast<std::int64_t>(e_.tokens(slot_).size()); }

  std::int32_t Draw(std::span<const float> logits) {
    return sampler_.Draw(logits, e_.tokens(slot_), length());
  }

  // Reports a drawn token; true when the generation ends with it.
  bool Emit(std::int32_t token) {
    ++stats_.generated_tokens;
    const bool go_on = on_token_(token);
    const auto& eos = e_.info().eos;
    if (!options_.ignore_eos && std::find(eos.begin(), eos.end(), token) != eos.end())
      return End(Stop::kEos);
    if (!go_on) return End(Stop::kCaller);
    if (stats_.generated_tokens == options_.max_tokens) return End(Stop::kMaxTokens);
    if (length() == e_.info().context) return End(Stop::kContext);
    return false;
  }

  bool End(Stop stop) {
    stats_.stop = stop;
    return true;
  }

  void Append(std::int32_t token) { e_.slot(slot_).tokens.push_back(token); }

  // Runs `next`, and the draft behind it where there is one. Afterwards `next` is the token to
  // report.
  Status Advance(std::int32_t& next, bool& in_place) {
    if (in_place) {
      // The draft was right and is reported now: its row of logits is there as well.
      Append(next);
      const std::int32_t right = next;
      next = Draw(e_.LogitsRow(*e_.trunk_, 1));
      in_place = false;
      const std::int32_t ids_next[2] = {right, next};
      return Guess(0, ids_next);
    }
    const std::int64_t before = length();
    const std::int32_t pair[2] = {next, draft_};
    const bool drafted = draft_ >= 0 && before + 2 <= e_.info().context;
    BK_RETURN_IF_ERROR(e_.Extend(slot_, {pair, drafted ? 2u : 1u}, StepItem::Rows::kAll));
    e_.Rewind(slot_, before + 1);
    ++stats_.decode_steps;
    next = Draw(e_.LogitsRow(*e_.trunk_, 0));
    if (!drafted) return Guess(0, {&next, 1});
    ++stats_.drafted;
    in_place = next == draft_;
    if (!in_place) return Guess(0, {&next, 1});
    ++stats_.accepted;
    return {};
  }

  // Drafts the token after the last of ids_next, which follow the trunk's rows from `row` on.
  Status Guess(std::int64_t row, std::span<const std::int32_t> ids_next) {
    if (!speculate_) return {};
    const std::int64_t position = length() - static_cast<std::int64_t>(ids_next.size());
    BK_RETURN_IF_ERROR(e_.ExtendDraft(slot_, position, row, ids_next, StepItem::Rows::kLast));
    draft_ = runtime::ArgMax(e_.LogitsRow(*e_.draft_, 0));
    return {};
  }

  Impl& e_;
  const int slot_;
  const GenerateOptions& options_;
  const std::function<bool(std::int32_t)>& on_token_;
  const bool speculate_;
  runtime::Sampler sampler_;
  std::int32_t draft_ = -1;  // guess for the token after `next`, or none
  GenerateStats stats_ = {};
};

Result<GenerateStats> Engine::Impl::Generate(int slot, std::span<const std::int32_t> prompt,
                                             const GenerateOptions& options,
                                             const std::function<bool(std::int32_t)>& on_token,
                                             const Progress& progress) {
  BK_RETURN_IF_ERROR(runtime::Validate(options.sampling));
  if (options.max_tokens < 0) {
    return Status::InvalidArgument(
        fmt::format("max_tokens: expected at least 0, got {}", options.max_tokens));
  }
  return Decoder(*this, slot, options, on_token).Run(prompt, progress);
}

}  // namespace birkhoff
