// What stands behind Engine. Also read by the harness, for plans and kernel choices.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "base/thread_pool.h"
#include "birkhoff/engine.h"
#include "runtime/loaded_model.h"
#include "runtime/no_throw.h"
#include "runtime/runner.h"

namespace birkhoff {

class Engine::Impl {
 public:
  // kInvalidArgument when an option is out of range; the message names it. Looks at no file.
  static Status Validate(const EngineOptions& options);

  // `options` are valid, as the user gave them; defaults are resolved here.
  static Result<std::unique_ptr<Impl>> Make(runtime::LoadedModel model,
                                            const EngineOptions& options,
                                            std::optional<Tokenizer> tokenizer);

  // Runs one public call. Refuses it from inside a callback of another; lets no exception out.
  template <class Call>
  std::invoke_result_t<Call> Enter(Call&& call) {
    if (busy_)
      return Status::InvalidArgument("expected no call of an engine from its own callback");
    busy_ = true;
    auto result = runtime::NoThrow(call);
    busy_ = false;
    return result;
  }
  bool busy() const { return busy_; }

  Result<int> TakeSlot();
  void FreeSlot(int slot);
  void Reset(int slot);
  std::span<const std::int32_t> tokens(int slot) const {
    return slots_[static_cast<std::size_t>(slot)].tokens;
  }

  Status Step(std::span<StepItem> items, std::span<const int> slots);
  Result<std::span<const float>> Prefill(int slot, std::span<const std::int32_t> tokens, bool draft,
                                         const Progress& progress);
  Result<GenerateStats> Generate(int slot, std::span<const std::int32_t> prompt,
                                 const GenerateOptions& options,
                                 const std::function<bool(std::int32_t)>& on_token,
                                 const Progress& progress);
  Result<ScoreResult> Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                            const Progress& progress);

  const EngineOptions& options() const { return options_; }
  const ModelInfo& info() const { return model_.info; }
  const runtime::ModelFusion& fusion() const { return model_.fusion; }
  const Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
  runtime::Runner& trunk() { return *trunk_; }
  runtime::Runner* draft() { return draft_.get(); }
  ThreadPool& pool() { return *pool_; }
  int max_rows() const { return max_rows_; }
  std::vector<int>& step_slots() { return step_slots_; }  // for Engine::Step, an entry per session

 private:
  struct Slot {
    bool used = false;
    std::vector<std::int32_t> tokens = {};  // whose state is in place; room for the whole context
    // The draft's state holds draft_past tokens of the sequence, the last before position
    // draft_end. It may have started late: the draft looks back no further than its window.
    std::int64_t draft_past = 0;
    std::int64_t draft_end = 0;
  };
  class Decoder;  // one Generate() call

  Slot& slot(int i) { return slots_[static_cast<std::size_t>(i)]; }
  Status CheckTokens(int slot, std::span<const std::int32_t> tokens) const;

  // One step of one sequence: appends tokens; logits of all, the last or none of them.
  Status Extend(int slot, std::span<const std::int32_t> tokens, StepItem::Rows rows);
  void Rewind(int slot, std::int64_t length) {
    this->slot(slot).tokens.resize(static_cast<std::size_t>(length));
  }

  // The draft layer over tokens [position, position + ids_next.size()) of the trunk's last step,
  // which begin there at packed row `row`; ids_next are the tokens that follow each.
  Status ExtendDraft(int slot, std::int64_t position, std::int64_t row,
                     std::span<const std::int32_t> ids_next, StepItem::Rows rows);

  std::span<const float> LogitsRow(const runtime::Runner& runner, std::size_t row) const {
    return runner.logits().subspan(row * static_cast<std::size_t>(info().vocab),
                                   static_cast<std::size_t>(info().vocab));
  }

  EngineOptions options_ = {};
  std::optional<Tokenizer> tokenizer_ = {};
  runtime::LoadedModel model_ = {};
  std::unique_ptr<ThreadPool> pool_ = {};
  std::unique_ptr<runtime::Runner> trunk_ = {};
  std::unique_ptr<runtime::Runner> draft_ = {};
  int max_rows_ = 0;
  bool busy_ = false;             // inside a public call
  std::vector<Slot> slots_ = {};  // max_sessions, and one more for Score

  // Of the step in hand, sized once.
  std::vector<runtime::Part> parts_ = {};
  std::vector<std::int32_t> rows_ = {};
  std::vector<int> step_slots_ = {};
};

}  // namespace birkhoff
