// The engine: a model in memory, sequences that extend it, and steps that run any mix of them.
//
// Shapes   Logits are f32 [rows, vocab]. Token ids are int32 in [0, vocab).
// Numerics Precision::kBF16: bf16 activations, f32 accumulation, exact weights.
//          Precision::kF32: the verification mode, every activation in f32.
//          Either way the logits of a sequence depend bitwise on its own tokens only: not on the
//          other sequences of a step, how its prompt was cut into steps, the number of threads, or
//          drafts.
// Threads  One thread at a time may call an engine and its sessions. Callbacks (on_token, progress)
//          may read Session::tokens() and must call nothing else of their engine: that is refused
//          with kInvalidArgument, and Reset does nothing. They must not throw.
// Errors   A call that is refused changes no session. kOutOfRange: context, step or session limits,
//          with both numbers, and memory or threads that the system does not give. No call throws.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/device.h"
#include "birkhoff/fusion.h"
#include "birkhoff/status.h"
#include "birkhoff/tokenizer.h"

namespace birkhoff {

enum class Precision : std::uint8_t { kBF16, kF32 };

// Called now and then during long work; done <= total.
using Progress = std::function<void(std::string_view what, std::int64_t done, std::int64_t total)>;

struct EngineOptions {
  std::string model = {};  // folder with config.json and *.safetensors; tokenizer.json is optional
  Precision precision = Precision::kBF16;
  int threads = 0;  // at most 4096; 0: every CPU this process may use
  // Longest sequence; 0: what the config says. State is only reserved, not touched.
  std::int64_t context = 0;
  int max_sessions = 1;       // sessions alive at the same time, at most 65536
  int max_step_tokens = 512;  // tokens of one step, 2 to 1048576; longer prompts are cut
  bool draft = true;  // load the MTP layer, if the checkpoint has one, for speculative decoding
  CpuIsa max_isa = CpuIsa::kAvx512;  // use no stronger instruction set than this
  FusionSettings fusion = {};
  Progress progress = {};
};

struct ModelInfo {
  std::string type = {};  // model_type of config.json: "deepseek_v4"
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t context = 0;
  std::int64_t parameters = 0;               // without the MTP layer
  std::int64_t weight_bytes = 0;             // of those: matrices as stored, vectors in f32
  std::int64_t bytes_per_decoded_token = 0;  // of those, what a step of one token must read
  bool has_draft = false;
  bool fp8_activations = false;         // the checkpoint is meant for FP8 inputs of linear layers
  std::int32_t bos = -1;                // the config's, else the tokenizer's
  std::vector<std::int32_t> eos = {};   // the same
  std::vector<std::string> notes = {};  // what of the checkpoint is not used, and why
};

struct SamplingOptions {
  float temperature = 0;         // 0: greedy; ties take the lower token id
  std::int32_t top_k = 0;        // 0: off
  float top_p = 1;               // 1: off
  float min_p = 0;               // 0: off
  float repetition_penalty = 1;  // 1: off; applies to every token of the sequence so far
  std::uint64_t seed = 0;        // the draw at position p depends on (seed, p) only
};

struct GenerateOptions {
  SamplingOptions sampling = {};
  std::int64_t max_tokens = 128;
  bool ignore_eos = false;
  bool speculate = true;  // draft with the MTP layer, if there is one; the tokens stay the same
};

struct GenerateStats {
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  std::int64_t decode_steps = 0;
  std::int64_t drafted = 0;
  std::int64_t accepted = 0;
  double prefill_seconds = 0;
  // From the first draw to the last. The step that appends the last token, for whoever goes on with
  // the session, comes after it and is in neither time.
  double decode_seconds = 0;
  enum class Stop : std::uint8_t { kMaxTokens, kEos, kContext, kCaller } stop = Stop::kMaxTokens;
};

struct ScoreOptions {
  int top = 5;  // alternatives per position
  bool logits_last = false;
  bool draft = false;  // also what the MTP layer would draft
};

struct ScoreResult {
  std::vector<float> token_logprobs = {};  // [T - 1] natural log, of ids[t + 1] after ids[0 .. t]
  std::vector<std::vector<std::int32_t>> top_ids = {};  // [T][top] most likely next tokens
  std::vector<std::vector<float>> top_logprobs = {};    // [T][top]
  std::vector<float> logits_last = {};                  // [vocab] after the last token
  std::vector<std::int32_t> draft_top1 = {};  // [T] draft for position t + 2, given ids[t + 1]; the
                                              // last row is given the greedy token
  std::vector<float> draft_logits_last = {};  // [vocab]
};

class Engine;

// One sequence: a growing list of tokens and the state that they left. Movable; gives its place
// back when destroyed. Must not outlive its engine. One that was moved from has no tokens, and no
// engine takes it.
class Session {
 public:
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;
  ~Session();

  std::span<const std::int32_t> tokens() const;  // everything appended so far
  void Reset();                                  // back to the empty sequence

 private:
  friend class Engine;
  Session(Engine* engine, int slot) : engine_(engine), slot_(slot) {}
  Engine* engine_ = nullptr;
  int slot_ = -1;
};

// One sequence's part of a step.
struct StepItem {
  Session* session = nullptr;
  std::span<const std::int32_t> tokens = {};  // appended to the session
  // For which of them logits are wanted. kAll counts every token towards max_logits_rows().
  enum class Rows : std::uint8_t { kNone, kLast, kAll } rows = Rows::kLast;
  std::span<const float> logits = {};  // result [rows, vocab]; valid until the engine's next call
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Load(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const ModelInfo& info() const;
  const EngineOptions& options() const;  // with defaults resolved
  const Tokenizer* tokenizer() const;    // null when the folder has no tokenizer.json

  // Rows of logits that one step can give: at least 2 and max_sessions, if max_step_tokens allows;
  // fewer than max_step_tokens when the vocabulary is large.
  int max_logits_rows() const;

  Result<Session> NewSession();

  // Runs the given parts as one step: at most max_step_tokens in all, and at most max_logits_rows()
  // rows of logits. Sessions must be distinct.
  Status Step(std::span<StepItem> items);

  // Appends tokens in steps of any length; logits of the last one. Progress is told after each.
  Result<std::span<const float>> Prefill(Session& session, std::span<const std::int32_t> tokens,
                                         const Progress& progress = {});

  // Appends the prompt and then up to max_tokens drawn tokens, calling on_token for each; on_token
  // returns false to stop. The end token is reported, and not appended when it ends the generation.
  Result<GenerateStats> Generate(Session& session, std::span<const std::int32_t> prompt,
                                 const GenerateOptions& options,
                                 const std::function<bool(std::int32_t token)>& on_token,
                                 const Progress& progress = {});

  // Log-probabilities of a text from its beginning. Has a place of its own besides max_sessions.
  Result<ScoreResult> Score(std::span<const std::int32_t> tokens, const ScoreOptions& options,
                            const Progress& progress = {});

  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  Impl& impl() { return *impl_; }

 private:
  friend class Session;
  Status CheckSession(const Session* session) const;

  std::unique_ptr<Impl> impl_;
};

}  // namespace birkhoff
