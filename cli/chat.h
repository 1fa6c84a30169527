// Conversations on the command line: one answer, or a dialogue on a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/chat.h"
#include "birkhoff/engine.h"
#include "generation.h"

namespace birkhoff::cli {

// Reads an answer token by token and, unless `quiet`, shows it as it comes: reasoning between
// <think> lines, then the content, then each tool call on a line of its own.
class AnswerReader {
 public:
  AnswerReader(const Tokenizer& tokenizer, ThinkingMode mode, bool quiet);

  void Feed(std::int32_t token);
  void Finish();

  const ChatAnswer& answer() const { return answer_; }
  ChatFlaw flaw() const { return parser_.flaw(); }

 private:
  void Take(const std::vector<ChatEvent>& events);
  void Show(const ChatEvent& event);

  StreamDecoder decoder_;
  ChatParser parser_;
  ChatAnswer answer_ = {};
  bool quiet_ = false;
  bool reasoning_ = false;  // shown and not yet closed
};

// Token ids of the prompt for the next turn.
Result<std::vector<std::int32_t>> ChatIds(const Tokenizer& tokenizer,
                                          const std::vector<ChatMessage>& messages,
                                          const ChatOptions& options);

ChatMessage UserMessage(std::string_view text);
ChatMessage AssistantMessage(const ChatAnswer& answer);

// Talks with whoever is at stdin until the input ends or /exit. `messages` is how the conversation
// begins, and what /reset returns to. `stats`: a line about speed after each answer.
Status ChatLoop(Engine& engine, std::vector<ChatMessage> messages, const ChatOptions& chat,
                const GenerateOptions& options, bool stats);

}  // namespace birkhoff::cli
