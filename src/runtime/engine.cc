#include "birkhoff/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "runtime/engine_impl.h"

namespace birkhoff {

Session::Session(Session&& other) noexcept
    : engine_(std::exchange(other.engine_, nullptr)), slot_(std::exchange(other.slot_, -1)) {}

Session& Session::operator=(Session&& other) noexcept {
  std::swap(engine_, other.engine_);
  std::swap(slot_, other.slot_);
  return *this;
}

Session::~Session() {
  if (engine_ != nullptr) engine_->impl_->FreeSlot(slot_);
}

std::span<const std::int32_t> Session::tokens() const { return engine_->impl_->tokens(slot_); }

void Session::Reset() { engine_->impl_->Reset(slot_); }

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options) {
  BK_ASSIGN_OR_RETURN(
      runtime::LoadedModel model,
      runtime::LoadModel(
          options.model,
          {.precision = options.precision, .context = options.context, .draft = options.draft},
          options.progress));
  std::optional<Tokenizer> tokenizer;
  if (std::filesystem::exists(std::filesystem::path(options.model) / "tokenizer.json")) {
    BK_ASSIGN_OR_RETURN(tokenizer, Tokenizer::Load(options.model));
    if (tokenizer->vocab_size() > model.info.vocab) {
      return Status::InvalidArgument(
          fmt::format("{}/tokenizer.json: expected ids below the model's vocabulary of {}, got {}",
                      options.model, model.info.vocab, tokenizer->vocab_size() - 1));
    }
  }
  BK_ASSIGN_OR_RETURN(std::unique_ptr<Impl> impl,
                      Impl::Make(std::move(model), options, std::move(tokenizer)));
  return std::make_unique<Engine>(std::move(impl));
}

const ModelInfo& Engine::info() const { return impl_->info(); }
const EngineOptions& Engine::options() const { return impl_->options(); }
const Tokenizer* Engine::tokenizer() const { return impl_->tokenizer(); }

Result<Session> Engine::NewSession() {
  BK_ASSIGN_OR_RETURN(const int slot, impl_->TakeSlot());
  return Session(this, slot);
}

Status Engine::Step(std::span<StepItem> items) {
  std::vector<int>& slots = impl_->step_slots();
  slots.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Session* s = items[i].session;
    if (s == nullptr || s->engine_ != this) {
      return Status::InvalidArgument(fmt::format("item {}: expected a session of this engine", i));
    }
    if (std::find(slots.begin(), slots.end(), s->slot_) != slots.end()) {
      return Status::InvalidArgument(fmt::format("item {}: its session is in this step twice", i));
    }
    slots.push_back(s->slot_);
  }
  return impl_->Step(items, slots);
}

Result<std::span<const float>> Engine::Prefill(Session& session,
                                               std::span<const std::int32_t> tokens,
                                               const Progress& progress) {
  return impl_->Prefill(session.slot_, tokens, /*draft=*/false, progress);
}

Result<GenerateStats> Engine::Generate(Session& session, std::span<const std::int32_t> prompt,
                                       const GenerateOptions& options,
                                       const std::function<bool(std::int32_t token)>& on_token,
                                       const Progress& progress) {
  return impl_->Generate(session.slot_, prompt, options, on_token, progress);
}

Result<ScoreResult> Engine::Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                                  const Progress& progress) {
  return impl_->Score(tokens, options, progress);
}

}  // namespace birkhoff
