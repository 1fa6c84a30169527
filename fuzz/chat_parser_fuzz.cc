// Any bytes as an answer: wherever it is cut, the same message comes out, and it is sound.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "birkhoff/chat.h"
#include "check.h"
#include "io/utf8.h"

namespace birkhoff {
namespace {

struct Outcome {
  ChatAnswer answer = {};
  ChatFlaw flaw = ChatFlaw::kNone;
};

// Pieces of 1 to `longest` bytes, of sizes that depend on the text.
Outcome ParseInPieces(std::string_view text, ThinkingMode mode, std::size_t longest) {
  ChatParser parser(mode);
  Outcome outcome;
  const auto add = [&](const std::vector<ChatEvent>& events) {
    for (const ChatEvent& event : events) {
      BK_FUZZ_CHECK(io::ValidUtf8Prefix(event.text) == event.text.size());
      outcome.answer.Add(event);
    }
  };
  while (!text.empty()) {
    const std::size_t wanted = 1 + static_cast<std::uint8_t>(text[0]) * 31 % longest;
    const std::string_view piece = text.substr(0, wanted);
    add(parser.Feed(piece));
    text.remove_prefix(piece.size());
  }
  add(parser.Finish());
  outcome.flaw = parser.flaw();
  return outcome;
}

bool Same(const ChatAnswer& a, const ChatAnswer& b) {
  const auto same_call = [](const ToolCall& x, const ToolCall& y) {
    return x.name == y.name && x.arguments == y.arguments;
  };
  return a.content == b.content && a.reasoning_content == b.reasoning_content &&
         std::equal(a.tool_calls.begin(), a.tool_calls.end(), b.tool_calls.begin(),
                    b.tool_calls.end(), same_call);
}

void Check(std::string_view text, ThinkingMode mode) {
  const Outcome whole = ParseInPieces(text, mode, text.size() + 1);
  for (const std::size_t longest : {1, 7, 64}) {
    const Outcome pieces = ParseInPieces(text, mode, longest);
    BK_FUZZ_CHECK(Same(pieces.answer, whole.answer));
    BK_FUZZ_CHECK(pieces.flaw == whole.flaw);
  }
  for (const ToolCall& call : whole.answer.tool_calls) {
    const auto arguments =
        nlohmann::json::parse(call.arguments, nullptr, /*allow_exceptions=*/false);
    BK_FUZZ_CHECK(arguments.is_object());
  }
  // What the parser accepts can be said again.
  if (ParseAnswer(text, mode).flaw != ChatFlaw::kNone) return;
  const ChatMessage message = {.role = ChatRole::kAssistant,
                               .content = whole.answer.content,
                               .reasoning_content = whole.answer.reasoning_content,
                               .tool_calls = whole.answer.tool_calls};
  BK_FUZZ_CHECK(EncodeChat({message}, {.thinking_mode = mode}).ok());
}

}  // namespace
}  // namespace birkhoff

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  birkhoff::Check(text, birkhoff::ThinkingMode::kChat);
  birkhoff::Check(text, birkhoff::ThinkingMode::kThinking);
  return 0;
}
