#include "runtime/engine_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace birkhoff {
namespace {

// Logits of one step may take this much memory: 512 rows of a small vocabulary, 129 of
// DeepSeek-V4's.
constexpr std::int64_t kLogitsBytes = std::int64_t{64} << 20;

}  // namespace

Status Engine::Impl::Validate(const EngineOptions& o) {
  const auto check = [](const char* name, std::int64_t value, std::int64_t least,
                        std::int64_t most) {
    if (value >= least && value <= most) return Status();
    return Status::InvalidArgument(
        fmt::format("{}: expected a number in [{}, {}], got {}", name, least, most, value));
  };
  BK_RETURN_IF_ERROR(check("threads", o.threads, 0, 4096));
  BK_RETURN_IF_ERROR(check("context", o.context, 0, std::numeric_limits<std::int32_t>::max()));
  BK_RETURN_IF_ERROR(check("max_sessions", o.max_sessions, 1, 65536));
  return check("max_step_tokens", o.max_step_tokens, 2, 1 << 20);  // a token and its draft
}

Result<std::unique_ptr<Engine::Impl>> Engine::Impl::Make(runtime::LoadedModel model,
                                                         const EngineOptions& options,
                                                         std::optional<Tokenizer> tokenizer) {
  auto e = std::make_unique<Impl>();
  e->options_ = options;
  e->options_.context = model.info.context;
  e->tokenizer_ = std::move(tokenizer);
  e->pool_ = std::make_unique<ThreadPool>(options.threads);
  e->options_.threads = e->pool_->size();

  const std::int64_t row_bytes = model.info.vocab * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t least = std::max<std::int64_t>(2, options.max_sessions);
  e->max_rows_ = static_cast<int>(
      std::min<std::int64_t>(options.max_step_tokens, std::max(least, kLogitsBytes / row_bytes)));
  runtime::RunnerOptions runner;
  runner.device = HostDevice();
  runner.device.isa = std::min(runner.device.isa, options.max_isa);
  runner.threads = e->pool_->size();
  runner.slots = options.max_sessions + 1;
  runner.max_tokens = options.max_step_tokens;
  runner.max_rows = e->max_rows_;
  BK_ASSIGN_OR_RETURN(e->trunk_, runtime::Runner::Make(std::move(model.built.trunk), runner));
  if (model.built.draft) {
    BK_ASSIGN_OR_RETURN(e->draft_, runtime::Runner::Make(std::move(*model.built.draft), runner));
  }
  e->model_ = std::move(model);

  e->slots_.resize(static_cast<std::size_t>(runner.slots));
  e->parts_.reserve(e->slots_.size());
  e->step_slots_.reserve(e->slots_.size());
  e->rows_.reserve(static_cast<std::size_t>(options.max_step_tokens));
  return e;
}

Result<int> Engine::Impl::TakeSlot() {
  for (int i = 0; i < options_.max_sessions; ++i) {
    if (slot(i).used) continue;
    slot(i).tokens.reserve(static_cast<std::size_t>(info().context));
    slot(i).used = true;
    Reset(i);
    return i;
  }
  return Status::OutOfRange(
      fmt::format("sessions: all {} of max_sessions are in use", options_.max_sessions));
}

void Engine::Impl::FreeSlot(int slot) { this->slot(slot).used = false; }

void Engine::Impl::Reset(int slot) {
  Slot& s = this->slot(slot);
  s.tokens.clear();
  s.draft_past = 0;
  s.draft_end = 0;
}

Status Engine::Impl::CheckTokens(int slot, std::span<const std::int32_t> tokens) const {
  if (tokens.empty()) return Status::InvalidArgument("tokens: expected at least 1, got none");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < info().vocab) continue;
    return Status::InvalidArgument(
        fmt::format("token {}: expected an id in [0, {}), got {}", i, info().vocab, tokens[i]));
  }
  const std::size_t length = this->tokens(slot).size() + tokens.size();
  if (static_cast<std::int64_t>(length) > info().context) {
    return Status::OutOfRange(
        fmt::format("sequence of {} tokens: the context is {}", length, info().context));
  }
  return {};
}

Status Engine::Impl::Step(std::span<StepItem> items, std::span<const int> slots) {
  parts_.clear();
  rows_.clear();
  std::size_t t = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    BK_RETURN_IF_ERROR(CheckTokens(slots[i], items[i].tokens));
    const auto past = static_cast<std::int64_t>(tokens(slots[i]).size());
    parts_.push_back({slots[i], past, past, items[i].tokens});
    const std::size_t end = t + items[i].tokens.size();
    if (end > static_cast<std::size_t>(options_.max_step_tokens)) {
      return Status::OutOfRange(fmt::format("step of at least {} tokens: max_step_tokens is {}",
                                            end, options_.max_step_tokens));
    }
    const std::size_t first = items[i].rows == StepItem::Rows::kAll    ? t
                              : items[i].rows == StepItem::Rows::kLast ? end - 1
                                                                       : end;
    for (t = first; t < end; ++t) rows_.push_back(static_cast<std::int32_t>(t));
  }
  if (rows_.size() > static_cast<std::size_t>(max_rows_)) {
    return Status::OutOfRange(
        fmt::format("step with {} rows of logits: at most {}", rows_.size(), max_rows_));
  }
  BK_RETURN_IF_ERROR(trunk_->Step(parts_, rows_, nullptr, *pool_));

  std::size_t row = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    StepItem& item = items[i];
    std::vector<std::int32_t>& known = slot(slots[i]).tokens;
    known.insert(known.end(), item.tokens.begin(), item.tokens.end());
    const std::size_t rows = item.rows == StepItem::Rows::kAll    ? item.tokens.size()
                             : item.rows == StepItem::Rows::kLast ? 1
                                                                  : 0;
    const auto vocab = static_cast<std::size_t>(info().vocab);
    item.logits = trunk_->logits().subspan(row * vocab, rows * vocab);
    row += rows;
  }
  return {};
}

Status Engine::Impl::Extend(int slot, std::span<const std::int32_t> tokens, StepItem::Rows rows) {
  StepItem item{.tokens = tokens, .rows = rows};
  return Step({&item, 1}, {&slot, 1});
}

Status Engine::Impl::ExtendDraft(int slot, std::int64_t position, std::int64_t row,
                                 std::span<const std::int32_t> ids_next, StepItem::Rows rows) {
  Slot& s = this->slot(slot);
  if (s.draft_end != position) s.draft_past = 0;
  const runtime::Part part{slot, s.draft_past, position, ids_next};
  rows_.clear();
  const auto count = static_cast<std::int32_t>(ids_next.size());
  const std::int32_t first = rows == StepItem::Rows::kAll    ? 0
                             : rows == StepItem::Rows::kLast ? count - 1
                                                             : count;
  for (std::int32_t r = first; r < count; ++r) rows_.push_back(r);
  BK_RETURN_IF_ERROR(draft_->Step({&part, 1}, rows_, trunk_->StreamsRow(row), *pool_));
  s.draft_past += count;
  s.draft_end = position + count;
  return {};
}

// With `draft`, the draft layer sees every token whose successor is known and that a later draft
// can look back to.
Result<std::span<const float>> Engine::Impl::Prefill(int slot, std::span<const std::int32_t> tokens,
                                                     bool draft, const Progress& progress) {
  BK_RETURN_IF_ERROR(CheckTokens(slot, tokens));
  const std::size_t total = tokens.size();
  const auto chunk = static_cast<std::size_t>(options_.max_step_tokens);
  const auto window = static_cast<std::size_t>(model_.built.draft_window);
  const std::size_t draft_from = total > window ? total - window : 0;
  for (std::size_t done = 0; done < total;) {
    const std::size_t n = std::min(chunk, total - done);
    const auto position = static_cast<std::int64_t>(this->tokens(slot).size());
    const bool last = done + n == total;
    BK_RETURN_IF_ERROR(Extend(slot, tokens.subspan(done, n),
                              last ? StepItem::Rows::kLast : StepItem::Rows::kNone));
    const std::size_t begin = std::max(done, draft_from);
    const std::size_t end = std::min(done + n, total - 1);
    if (draft && begin < end) {
      const auto skip = static_cast<std::int64_t>(begin - done);
      BK_RETURN_IF_ERROR(ExtendDraft(slot, position + skip, skip,
                                     tokens.subspan(begin + 1, end - begin),
                                     StepItem::Rows::kNone));
    }
    done += n;
    if (progress)
      progress("prefill", static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
  }
  return LogitsRow(*trunk_, 0);
}

}  // namespace birkhoff
