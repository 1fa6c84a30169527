#include "chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <span>
#include <utility>

#include "log.h"

namespace birkhoff::cli {

namespace {

constexpr std::string_view kHelp =
    "/reset  forget the conversation\n"
    "/exit   leave (as Ctrl-D does)\n"
    "/help   this list\n"
    "Ctrl-C ends an answer early.\n";

// The part of `ids` that the session has not seen. Starts the session over when it has seen
// anything else: reasoning of earlier turns is dropped from the prompt.
std::span<const std::int32_t> Unseen(Session& session, std::span<const std::int32_t> ids) {
  const std::span<const std::int32_t> seen = session.tokens();
  if (seen.size() < ids.size() && std::equal(seen.begin(), seen.end(), ids.begin())) {
    return ids.subspan(seen.size());
  }
  session.Reset();
  return ids;
}

// The next line of the user; empty at the end of the input.
std::optional<std::string> ReadLine(bool terminal) {
  if (terminal) Emit("> ");
  std::string line;
  if (std::getline(std::cin, line)) return line;
  if (terminal) Emit("\n");
  return std::nullopt;
}

// Answers the last of `messages` and adds the answer to them.
Result<GenerateStats> Turn(Engine& engine, Session& session, std::vector<ChatMessage>& messages,
                           const ChatOptions& chat, const GenerateOptions& options) {
  const Tokenizer& tokenizer = *engine.tokenizer();
  BK_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, ChatIds(tokenizer, messages, chat));
  AnswerReader reader(tokenizer, chat.thinking_mode, /*quiet=*/false);
  const Result<Generated> reply = GenerateTokens(engine, session, Unseen(session, ids), options,
                                                 [&](std::int32_t token) { reader.Feed(token); });
  reader.Finish();  // what an error cut short is shown as well, and ends its line
  if (!reply.ok()) return reply.status();
  messages.push_back(AssistantMessage(reader.answer()));
  return reply->stats;
}

}  // namespace

AnswerReader::AnswerReader(const Tokenizer& tokenizer, ThinkingMode mode, bool quiet)
    : decoder_(tokenizer, {.skip_special = false}), parser_(mode), quiet_(quiet) {}

void AnswerReader::Feed(std::int32_t token) { Take(parser_.Feed(decoder_.Feed(token))); }

void AnswerReader::Finish() {
  Take(parser_.Feed(decoder_.Finish()));
  Take(parser_.Finish());
  if (!quiet_) Emit("\n");
}

void AnswerReader::Take(const std::vector<ChatEvent>& events) {
  for (const ChatEvent& event : events) {
    answer_.Add(event);
    if (!quiet_) Show(event);
  }
}

void AnswerReader::Show(const ChatEvent& event) {
  const bool reasoning = event.kind == ChatEvent::Kind::kReasoning;
  if (reasoning != reasoning_) Emit(reasoning ? "<think>\n" : "\n</think>\n");
  reasoning_ = reasoning;
  switch (event.kind) {
    case ChatEvent::Kind::kReasoning:
    case ChatEvent::Kind::kContent:
    case ChatEvent::Kind::kToolCallArguments: Emit(event.text); break;
    case ChatEvent::Kind::kToolCallBegin: Emit(fmt::format("\ncall {} ", event.text)); break;
    case ChatEvent::Kind::kToolCallEnd: break;
  }
}

Result<std::vector<std::int32_t>> ChatIds(const Tokenizer& tokenizer,
                                          const std::vector<ChatMessage>& messages,
                                          const ChatOptions& options) {
  BK_ASSIGN_OR_RETURN(const std::vector<TextPart> parts, EncodeChat(messages, options));
  return tokenizer.Encode(parts);
}

ChatMessage UserMessage(std::string_view text) {
  return {.role = ChatRole::kUser, .content = std::string(text)};
}

ChatMessage AssistantMessage(const ChatAnswer& answer) {
  return {.role = ChatRole::kAssistant,
          .content = answer.content,
          .reasoning_content = answer.reasoning_content,
          .tool_calls = answer.tool_calls};
}

Status ChatLoop(Engine& engine, std::vector<ChatMessage> messages, const ChatOptions& chat,
                const GenerateOptions& options, bool stats) {
  const std::vector<ChatMessage> beginning = messages;
  BK_ASSIGN_OR_RETURN(Session session, engine.NewSession());
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (terminal) Log(LogLevel::kInfo, "/help lists the commands; Ctrl-D leaves");
  while (const std::optional<std::string> line = ReadLine(terminal)) {
    if (line->empty()) continue;
    if (*line == "/exit") break;
    if (*line == "/help") {
      Emit(kHelp);
      continue;
    }
    if (*line == "/reset") {
      messages = beginning;
      continue;
    }
    messages.push_back(UserMessage(*line));
    const Result<GenerateStats> reply = Turn(engine, session, messages, chat, options);
    if (!reply.ok()) {  // most likely the context is full: the conversation can be reset
      Log(LogLevel::kError, reply.status().message());
      messages.pop_back();
      continue;
    }
    if (stats) Log(LogLevel::kInfo, SpeedLine(*reply, MeasureSpeed(engine, *reply)));
  }
  return Status::Ok();
}

}  // namespace birkhoff::cli
