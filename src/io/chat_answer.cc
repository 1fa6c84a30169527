// Events to a message.
#include <utility>

#include "birkhoff/chat.h"
#include "io/chat_markup.h"

namespace birkhoff {

std::string_view ChatFlawName(ChatFlaw flaw) {
  switch (flaw) {
    case ChatFlaw::kNone: return "none";
    case ChatFlaw::kMissingEnd: return "missing end of sentence";
    case ChatFlaw::kUnclosedReasoning: return "unclosed reasoning";
    case ChatFlaw::kMalformedCall: return "malformed tool call";
    case ChatFlaw::kTrailingText: return "trailing text";
    case ChatFlaw::kStrayMarker: return "stray special token";
  }
  return "";
}

void ChatAnswer::Add(const ChatEvent& event) {
  switch (event.kind) {
    case ChatEvent::Kind::kReasoning: reasoning_content += event.text; break;
    case ChatEvent::Kind::kContent: content += event.text; break;
    case ChatEvent::Kind::kToolCallBegin: open_call_ = {.name = event.text}; break;
    case ChatEvent::Kind::kToolCallArguments: open_call_.arguments += event.text; break;
    case ChatEvent::Kind::kToolCallEnd: tool_calls.push_back(std::move(open_call_)); break;
  }
}

ParsedAnswer ParseAnswer(std::string_view completion, ThinkingMode mode) {
  ChatParser parser(mode);
  ParsedAnswer parsed;
  for (const ChatEvent& event : parser.Feed(completion)) parsed.answer.Add(event);
  for (const ChatEvent& event : parser.Finish()) parsed.answer.Add(event);
  parsed.flaw = parser.flaw();
  for (const std::string_view marker :
       {io::kBeginOfSentence, io::kEndOfSentence, io::kThink, io::kEndThink, io::kDsml}) {
    const bool stray = parsed.answer.content.find(marker) != std::string::npos ||
                       parsed.answer.reasoning_content.find(marker) != std::string::npos;
    if (stray && parsed.flaw == ChatFlaw::kNone) parsed.flaw = ChatFlaw::kStrayMarker;
  }
  return parsed;
}

}  // namespace birkhoff
