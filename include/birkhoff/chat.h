// Conversations of DeepSeek-V4: messages to prompt, and what the model answers back to a message.
//
// The prompt is byte for byte that of DeepSeek's encoding module for V4 (no Jinja template exists).
// Source: the model's encoding module; tests/data/chat_vectors.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/status.h"
#include "birkhoff/tokenizer.h"

namespace birkhoff {

enum class ChatRole { kSystem, kDeveloper, kUser, kAssistant, kTool, kLatestReminder };

enum class ThinkingMode { kChat, kThinking };

struct ToolCall {
  std::string id = {};  // the caller's; the model writes none
  std::string name = {};
  std::string arguments = {};  // text of a JSON object
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content = {};
  std::string reasoning_content = {};     // assistant
  std::vector<ToolCall> tool_calls = {};  // assistant
  bool unfinished = false;                // assistant: to be continued, no end of sentence follows
  std::string tool_call_id = {};          // tool: the call that this is the result of
  std::vector<std::string> tools = {};    // system, developer: a JSON object per function, with
                                          // name, description and parameters
  std::string response_format = {};       // system, developer: JSON, empty for none
  std::string task = {};  // action, query, authority, domain, title, read_url or empty
};

// Messages from JSON: an array of OpenAI-style messages, or an object with "messages" and optional
// "tools", which then belong to the first system message (an empty one is put in front when there
// is none).
//
// Content may be a string or a list of {"type": "text"} parts, which are joined by blank lines.
// "reasoning" is read as "reasoning_content"; "prefix": true marks an unfinished message. null
// equals absent; unknown fields are ignored.
//
// Errors   kInvalidArgument, with the path of the field, what was expected and what came.
Result<std::vector<ChatMessage>> ParseChatMessages(std::string_view json);

struct ChatOptions {
  ThinkingMode thinking_mode = ThinkingMode::kThinking;
  bool drop_thinking = true;  // forget reasoning before the last user message; never with tools
  bool max_effort = false;    // reasoning_effort "max"; counts in thinking mode only
};

// The prompt for the next turn, from begin of sentence on. Everything that a message brought along
// is in plain parts, so encode it with Tokenizer::Encode(parts): no content can inject markup.
// Errors   kInvalidArgument: arguments of a tool call, a tool or a response format that is not the
//          JSON it should be, or an unknown task.
Result<std::vector<TextPart>> EncodeChat(const std::vector<ChatMessage>& messages,
                                         const ChatOptions& options);

// One step of an answer. Texts of the same kind are to be joined.
struct ChatEvent {
  enum class Kind { kReasoning, kContent, kToolCallBegin, kToolCallArguments, kToolCallEnd };

  Kind kind = Kind::kContent;
  std::size_t call = 0;   // tool events: number of the call, from 0
  std::string text = {};  // new text; the function's name at kToolCallBegin; empty at kToolCallEnd
};

// In what an answer departs from the format. The first departure counts.
enum class ChatFlaw {
  kNone,
  kMissingEnd,         // stops without end of sentence
  kUnclosedReasoning,  // thinking mode, but no </think>
  kMalformedCall,      // tool calls that are cut short or written wrongly
  kTrailingText,       // text after the tool calls or after end of sentence
  kStrayMarker,        // a special token inside the text
};

std::string_view ChatFlawName(ChatFlaw flaw);

// Reads an answer while it is written. Text may be cut anywhere, even inside a character; events
// carry whole characters only (bytes that are not UTF-8 become U+FFFD), and joined texts do not
// depend on where the cuts were. The arguments of a call that has ended are a JSON object.
//
// Malformed answers never fail: text goes on as text, a call that is cut short gets no
// kToolCallEnd, a parameter or call that cannot be understood is left out, text after the calls is
// dropped, and flaw() tells.
class ChatParser {
 public:
  explicit ChatParser(ThinkingMode mode);
  ~ChatParser();
  ChatParser(ChatParser&&) noexcept;
  ChatParser& operator=(ChatParser&&) noexcept;

  std::vector<ChatEvent> Feed(std::string_view text);
  std::vector<ChatEvent> Finish();  // the answer has ended; call once, feed no more
  ChatFlaw flaw() const;            // kStrayMarker is left to ParseAnswer, which sees whole texts

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The message that events add up to; calls without an end are left out.
class ChatAnswer {
 public:
  void Add(const ChatEvent& event);

  std::string reasoning_content = {};
  std::string content = {};
  std::vector<ToolCall> tool_calls = {};

 private:
  ToolCall open_call_ = {};
};

struct ParsedAnswer {
  ChatAnswer answer = {};
  ChatFlaw flaw = ChatFlaw::kNone;  // kNone: DeepSeek's own parser accepts it
};

// A whole completion at once.
ParsedAnswer ParseAnswer(std::string_view completion, ThinkingMode mode);

}  // namespace birkhoff
