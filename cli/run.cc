// birkhoff run: text in, text out.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "birkhoff/chat.h"
#include "chat.h"
#include "flags.h"
#include "generation.h"
#include "input.h"
#include "json_out.h"
#include "log.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples =
    R"(birkhoff run --prompt "The command ls lists" --max-tokens 40
birkhoff run --model DIR                           chat on a terminal
birkhoff run --model DIR --chat --prompt "What is 2 + 2?" --thinking
birkhoff run --model DIR --messages conversation.json --json
cat article.txt | birkhoff run --temperature 0.7 --top-p 0.95 --seed 7)";

struct RunFlags {
  ModelFlags model = {};
  InputFlags input = {};
  std::optional<std::string> messages = {};
  std::optional<std::string> system = {};
  bool chat = false;
  bool interactive = false;
  bool thinking = false;
  bool no_bos = false;
  bool no_speculate = false;
  bool no_stats = false;
  bool json = false;
  GenerateOptions generate = {};
};

void AddSamplingFlags(Flags& flags, GenerateOptions& g) {
  SamplingOptions& s = g.sampling;
  flags.Value("-n,--max-tokens", g.max_tokens, "TOKENS", "longest answer")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 40));
  flags.Value("--temperature", s.temperature, "X", "0 takes the likeliest token")
      ->check(CLI::Range(0.0, 1000.0));
  flags.Value("--top-k", s.top_k, "N", "draw among the N likeliest tokens; 0: all")
      ->check(CLI::Range(0, 1 << 30));
  flags.Value("--top-p", s.top_p, "P", "draw among the likeliest that add up to P; 1: all")
      ->check(CLI::Range(0.0, 1.0));
  flags.Value("--min-p", s.min_p, "P", "leave out what is less likely than P times the likeliest")
      ->check(CLI::Range(0.0, 1.0));
  flags
      .Value("--repetition-penalty", s.repetition_penalty, "X",
             "above 1: tokens that have been there become less likely")
      ->check(CLI::Range(0.01, 100.0));
  flags.Value("--seed", s.seed, "N", "the same seed and prompt give the same text");
  flags.Switch("--ignore-eos", g.ignore_eos, "go on after the end token");
}

// The conversation that flags and input describe; may lack the user's turn.
Result<std::vector<ChatMessage>> Conversation(const RunFlags& flags, const Input& input) {
  std::vector<ChatMessage> messages;
  if (flags.messages) {
    BK_ASSIGN_OR_RETURN(const std::string json, ReadAll(*flags.messages));
    Result<std::vector<ChatMessage>> parsed = ParseChatMessages(json);
    if (!parsed.ok()) return parsed.status().Annotate(*flags.messages);
    messages = *std::move(parsed);
  }
  if (flags.system) {
    messages.insert(messages.begin(), {.role = ChatRole::kSystem, .content = *flags.system});
  }
  if (input.text) messages.push_back(UserMessage(*input.text));
  return messages;
}

void Report(const RunFlags& flags, const Engine& engine, const GenerateStats& stats) {
  if (!flags.no_stats) Log(LogLevel::kInfo, SpeedLine(stats, MeasureSpeed(engine, stats)));
}

void PrintResult(const RunFlags& flags, const Engine& engine, const Generated& generated,
                 Json json) {
  json["ids"] = generated.ids;
  AddStats(json, generated.stats);
  if (!flags.no_stats) AddSpeed(json, MeasureSpeed(engine, generated.stats));
  PrintJson(json);
}

// Goes on with a text.
Status Complete(const RunFlags& flags, Engine& engine, const std::string& text) {
  const Tokenizer& tokenizer = *engine.tokenizer();
  const std::vector<std::int32_t> ids = EncodeDocument(tokenizer, text, flags.no_bos);
  if (ids.empty()) return Status::InvalidArgument("the prompt is empty: expected some text");
  StreamDecoder decoder(tokenizer);
  std::string answer;
  const auto show = [&](const std::string& piece) {
    answer += piece;
    if (!flags.json) Emit(piece);
  };
  BK_ASSIGN_OR_RETURN(Session session, engine.NewSession());
  BK_ASSIGN_OR_RETURN(const Generated generated,
                      GenerateTokens(engine, session, ids, flags.generate,
                                     [&](std::int32_t token) { show(decoder.Feed(token)); }));
  show(decoder.Finish());
  if (flags.json) {
    PrintResult(flags, engine, generated, {{"text", answer}});
    return Status::Ok();
  }
  Emit("\n");
  Report(flags, engine, generated.stats);
  return Status::Ok();
}

Json AnswerJson(const AnswerReader& reader) {
  const ChatAnswer& answer = reader.answer();
  Json calls = Json::array();
  for (const ToolCall& call : answer.tool_calls) {
    calls.push_back({{"name", call.name}, {"arguments", call.arguments}});
  }
  return {{"text", answer.content},
          {"reasoning", answer.reasoning_content},
          {"tool_calls", calls},
          {"flaw", ChatFlawName(reader.flaw())}};
}

// Answers the last message of a conversation.
Status Answer(const RunFlags& flags, Engine& engine, const std::vector<ChatMessage>& messages,
              const ChatOptions& chat) {
  const Tokenizer& tokenizer = *engine.tokenizer();
  BK_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, ChatIds(tokenizer, messages, chat));
  AnswerReader reader(tokenizer, chat.thinking_mode, /*quiet=*/flags.json);
  BK_ASSIGN_OR_RETURN(Session session, engine.NewSession());
  BK_ASSIGN_OR_RETURN(const Generated generated,
                      GenerateTokens(engine, session, ids, flags.generate,
                                     [&](std::int32_t token) { reader.Feed(token); }));
  reader.Finish();
  if (flags.json) {
    PrintResult(flags, engine, generated, AnswerJson(reader));
  } else {
    Report(flags, engine, generated.stats);
  }
  return Status::Ok();
}

// Refuses flags of which one would go unheeded.
Status CheckTogether(const RunFlags& flags, bool chat) {
  const char* text = flags.input.text ? "--prompt" : flags.input.file ? "--file" : nullptr;
  if (flags.messages && text != nullptr) {
    return Status::InvalidArgument(fmt::format(
        "--messages with {}: expected one of them, a conversation ends with its own message",
        text));
  }
  if (flags.interactive && text != nullptr) {
    return Status::InvalidArgument(fmt::format(
        "--interactive with {}: expected one of them, a dialogue reads its messages line by line",
        text));
  }
  if (flags.interactive && flags.json) {
    return Status::InvalidArgument(
        "--interactive with --json (or BIRKHOFF_JSON): expected one of them, a dialogue streams "
        "text");
  }
  if (flags.thinking && !chat) {
    return Status::InvalidArgument(
        "--thinking: expected --chat, --messages, --system or --interactive beside it, a text is "
        "continued without reasoning");
  }
  return Status::Ok();
}

Result<Exit> Run(RunFlags flags) {
  const bool interactive =
      flags.interactive || (!flags.input.text && !flags.input.file && !flags.messages &&
                            isatty(STDIN_FILENO) == 1 && !flags.json);
  const bool chat = interactive || flags.chat || flags.messages || flags.system;
  BK_RETURN_IF_ERROR(CheckTogether(flags, chat));
  Input input;
  if (!interactive && !flags.messages) {
    BK_ASSIGN_OR_RETURN(input, ReadInput(flags.input));
    if (!input.text) {
      return Status::InvalidArgument("no prompt: expected --prompt, --file, --messages or a pipe");
    }
  }
  flags.generate.speculate = !flags.no_speculate;
  BK_ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages, Conversation(flags, input));
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(flags.model));
  BK_RETURN_IF_ERROR(NeedTokenizer(*engine).status());
  const ChatOptions options = {.thinking_mode =
                                   flags.thinking ? ThinkingMode::kThinking : ThinkingMode::kChat};
  if (interactive) {
    BK_RETURN_IF_ERROR(ChatLoop(*engine, messages, options, flags.generate, !flags.no_stats));
  } else if (chat) {
    BK_RETURN_IF_ERROR(Answer(flags, *engine, messages, options));
  } else {
    BK_RETURN_IF_ERROR(Complete(flags, *engine, *input.text));
  }
  return Exit::kOk;
}

}  // namespace

void AddRun(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<RunFlags>();
  Flags flags(app, "run", "Generate text: continue a prompt, answer a message, or chat.",
              kExamples);
  AddModelFlags(flags, f->model);
  AddTextFlags(flags, f->input);
  flags.SubjectSwitch("--chat", f->chat, "the text is a message to answer, not a text to continue");
  flags.SubjectSwitch("-i,--interactive", f->interactive,
                      "chat line by line (what happens on a terminal without a prompt)");
  flags.Subject("--messages", f->messages, "PATH",
                "answer a conversation: OpenAI-style JSON; - is stdin");
  flags.Subject("--system", f->system, "TEXT", "chat: put a system message in front");
  flags.SubjectSwitch("--thinking", f->thinking, "chat: let the model reason before it answers");
  flags.Switch("--no-bos", f->no_bos, "do not put the begin token in front of the text");
  AddSamplingFlags(flags, f->generate);
  flags.Switch("--no-speculate", f->no_speculate, "no drafts; the text is the same, only slower");
  flags.Switch("--no-stats", f->no_stats, "do not measure and report speed");
  flags.Switch("--json", f->json, "print one JSON object instead of streaming text");
  flags.app().callback([f, &chosen] { chosen = [f] { return Run(*f); }; });
}

}  // namespace birkhoff::cli
