#include "birkhoff/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
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

std::span<const std::int32_t> Session::tokens() const {
  if (engine_ == nullptr) return {};
  return engine_->impl_->tokens(slot_);
}

void Session::Reset() {
  if (engine_ != nullptr && !engine_->impl_->busy()) engine_->impl_->Reset(slot_);
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

namespace {

// None when the folder has no tokenizer.json.
Result<std::optional<Tokenizer>> LoadTokenizer(const std::string& folder, std::int64_t vocab) {
  const std::filesystem::path path = std::filesystem::path(folder) / "tokenizer.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (!error) return std::optional<Tokenizer>();
    return Status::IoError(fmt::format("{}: {}", path.string(), error.message()));
  }
  BK_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(folder));
  if (tokenizer.vocab_size() > vocab) {
    return Status::InvalidArgument(
        fmt::format("{}: expected ids below the model's vocabulary of {}, got {}", path.string(),
                    vocab, tokenizer.vocab_size() - 1));
  }
  return std::optional<Tokenizer>(std::move(tokenizer));
}

// Where the config names no begin or end token, the tokenizer may.
void AddTokens(const Tokenizer& tokenizer, ModelInfo& info) {
  if (info.bos < 0) info.bos = tokenizer.bos_id().value_or(-1);
  if (info.eos.empty() && tokenizer.eos_id()) info.eos = {*tokenizer.eos_id()};
}

Result<std::unique_ptr<Engine>> LoadUnguarded(const EngineOptions& options) {
  BK_RETURN_IF_ERROR(Engine::Impl::Validate(options));
  BK_ASSIGN_OR_RETURN(runtime::LoadedModel model,
                      runtime::LoadModel(options.model,
                                         {.precision = options.precision,
                                          .context = options.context,
                                          .threads = options.threads,
                                          .draft = options.draft,
                                          .fusion = options.fusion},
                                         options.progress));
  BK_ASSIGN_OR_RETURN(std::optional<Tokenizer> tokenizer,
                      LoadTokenizer(options.model, model.info.vocab));
  if (tokenizer) AddTokens(*tokenizer, model.info);
  BK_ASSIGN_OR_RETURN(std::unique_ptr<Engine::Impl> impl,
                      Engine::Impl::Make(std::move(model), options, std::move(tokenizer)));
  return std::make_unique<Engine>(std::move(impl));
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Load(const EngineOptions& options) {
  return runtime::NoThrow([&] { return LoadUnguarded(options); });
}

const ModelInfo& Engine::info() const { return impl_->info(); }
const EngineOptions& Engine::options() const { return impl_->options(); }
const Tokenizer* Engine::tokenizer() const { return impl_->tokenizer(); }

int Engine::max_logits_rows() const { return impl_->max_rows(); }

Result<Session> Engine::NewSession() {
  return impl_->Enter([&]() -> Result<Session> {
    BK_ASSIGN_OR_RETURN(const int slot, impl_->TakeSlot());
    return Session(this, slot);
  });
}

Status Engine::CheckSession(const Session* session) const {
  if (session != nullptr && session->engine_ == this) return {};
  return Status::InvalidArgument("expected a session of this engine");
}

Status Engine::Step(std::span<StepItem> items) {
  return impl_->Enter([&]() -> Status {
    std::vector<int>& slots = impl_->step_slots();
    slots.clear();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Session* s = items[i].session;
      const Status status = CheckSession(s);
      if (!status.ok()) return status.Annotate(fmt::format("item {}", i));
      if (std::find(slots.begin(), slots.end(), s->slot_) != slots.end()) {
        return Status::InvalidArgument(
            fmt::format("item {}: its session is in this step twice", i));
      }
      slots.push_back(s->slot_);
    }
    return impl_->Step(items, slots);
  });
}

Result<std::span<const float>> Engine::Prefill(Session& session,
                                               std::span<const std::int32_t> tokens,
                                               const Progress& progress) {
  BK_RETURN_IF_ERROR(CheckSession(&session));
  return impl_->Enter(
      [&] { return impl_->Prefill(session.slot_, tokens, /*draft=*/false, progress); });
}

Result<GenerateStats> Engine::Generate(Session& session, std::span<const std::int32_t> prompt,
                                       const GenerateOptions& options,
                                       const std::function<bool(std::int32_t token)>& on_token,
                                       const Progress& progress) {
  BK_RETURN_IF_ERROR(CheckSession(&session));
  return impl_->Enter(
      [&] { return impl_->Generate(session.slot_, prompt, options, on_token, progress); });
}

Result<ScoreResult> Engine::Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                                  const Progress& progress) {
  return impl_->Enter([&] { return impl_->Score(tokens, options, progress); });
}

}  // namespace birkhoff
