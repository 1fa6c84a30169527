// What DeepSeek-V4 answers, text to events.
//
//   answer     = [reasoning "</think>"] content ["\n\n" calls] end-of-sentence
//   calls      = "<｜DSML｜tool_calls>\n" call* "</｜DSML｜tool_calls>"
//   call       = "<｜DSML｜invoke name=\"" NAME "\">\n" parameter* "</｜DSML｜invoke>\n"
//   parameter  = "<｜DSML｜parameter name=\"" KEY "\" string=\"" ("true" | "false") "\">" VALUE
//                "</｜DSML｜parameter>\n"
//
// The value of a string parameter is taken as it stands, markup in it included; only a closing tag
// that is followed by more markup ends it. Other values are JSON.
#include <algorithm>
#include <set>
#include <utility>

#include "birkhoff/chat.h"
#include "io/chat_markup.h"
#include "io/json_value.h"
#include "io/marker_reader.h"
#include "io/utf8.h"

namespace birkhoff {
namespace {

using Kind = ChatEvent::Kind;

constexpr std::string_view kCalls = "<｜DSML｜tool_calls";
constexpr std::string_view kCallsAfterBlank = "\n\n<｜DSML｜tool_calls";
constexpr std::string_view kEndCalls = "</｜DSML｜tool_calls>";
constexpr std::string_view kCall = "<｜DSML｜invoke";
constexpr std::string_view kEndCall = "</｜DSML｜invoke";
constexpr std::string_view kParameter = "<｜DSML｜parameter";
constexpr std::string_view kEndParameter = "</｜DSML｜parameter";
constexpr std::string_view kEndAttributes = "\">";

// The most blanks between a parameter and the next tag that are not taken for part of a value.
constexpr std::size_t kWidestGap = 8;

// Cuts `prefix` off, if `text` starts with it.
bool Skip(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

void SkipBlanks(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(" \t\r\n"), text->size()));
}

}  // namespace

struct ChatParser::Impl {
  explicit Impl(ThinkingMode mode)
      : state_(mode == ThinkingMode::kThinking ? State::kReasoning : State::kContent) {}

  std::vector<ChatEvent> Feed(std::string_view text) {
    bytes_ += text;
    return Run(/*at_end=*/false);
  }

  std::vector<ChatEvent> Finish() {
    reader_.End();
    std::vector<ChatEvent> events = Run(/*at_end=*/true);
    switch (state_) {
      case State::kReasoning: Flaw(ChatFlaw::kUnclosedReasoning); break;
      case State::kContent: Flaw(ChatFlaw::kMissingEnd); break;
      case State::kAfterCalls:
      case State::kEnd: break;
      default: Flaw(ChatFlaw::kMalformedCall);
    }
    return events;
  }

  ChatFlaw flaw() const { return flaw_; }

 private:
  enum class State {
    kReasoning,
    kContent,
    kBetweenCalls,
    kCallHeader,
    kCallBody,
    kParameterHeader,
    kValue,
    kValueEnd,  // behind what may be the closing tag of a parameter
    kAfterCalls,
    kEnd,
  };

  enum class ValueType { kString, kJson, kAny, kNone };  // kNone: to be left out

  std::vector<ChatEvent> Run(bool at_end) {
    std::string text;
    io::DrainUtf8(&bytes_, at_end, &text);
    reader_.Append(text);
    while (Step()) {
    }
    return std::exchange(events_, {});
  }

  void Flaw(ChatFlaw flaw) {
    if (flaw_ == ChatFlaw::kNone) flaw_ = flaw;
  }

  void Emit(Kind kind, std::string_view text) {
    const std::size_t call = kind == Kind::kReasoning || kind == Kind::kContent ? 0 : call_;
    const bool delta = kind != Kind::kToolCallBegin && kind != Kind::kToolCallEnd;
    if (delta && text.empty()) return;
    if (delta && !events_.empty() && events_.back().kind == kind) {
      events_.back().text += text;
    } else {
      events_.push_back({.kind = kind, .call = call, .text = std::string(text)});
    }
  }

  // Takes one step; false when that needs more text.
  bool Step() {
    switch (state_) {
      case State::kReasoning: return ReadReasoning();
      case State::kContent: return ReadContent();
      case State::kBetweenCalls: return ReadBetweenCalls();
      case State::kCallHeader: return ReadCallHeader();
      case State::kCallBody: return ReadCallBody();
      case State::kParameterHeader: return ReadParameterHeader();
      case State::kValue: return ReadValue();
      case State::kValueEnd: return ReadValueEnd();
      case State::kAfterCalls: return ReadAfterCalls();
      case State::kEnd: return ReadEnd();
    }
    return false;
  }

  bool Go(State state) {
    state_ = state;
    return true;
  }

  bool GoMalformed(State state) {
    Flaw(ChatFlaw::kMalformedCall);
    return Go(state);
  }

  bool ReadReasoning() {
    std::string text;
    const auto marker =
        reader_.ReadUntil({io::kEndThink, io::kEndOfSentence, kCallsAfterBlank, kCalls}, &text);
    Emit(Kind::kReasoning, text);
    if (!marker) return false;
    if (*marker == 0) return Go(State::kContent);
    Flaw(ChatFlaw::kUnclosedReasoning);
    return Go(*marker == 1 ? State::kEnd : State::kBetweenCalls);
  }

  bool ReadContent() {
    std::string text;
    const auto marker = reader_.ReadUntil({io::kEndOfSentence, kCallsAfterBlank, kCalls}, &text);
    Emit(Kind::kContent, text);
    if (!marker) return false;
    if (*marker == 0) return Go(State::kEnd);
    return *marker == 1 ? Go(State::kBetweenCalls) : GoMalformed(State::kBetweenCalls);
  }

  bool ReadBetweenCalls() {
    const auto marker = reader_.ReadUntil({kCall, kEndCalls, io::kEndOfSentence}, &held_);
    if (!marker) return false;
    if (std::exchange(held_, {}) != ">\n") Flaw(ChatFlaw::kMalformedCall);
    if (*marker == 2) return GoMalformed(State::kEnd);
    return Go(*marker == 0 ? State::kCallHeader : State::kAfterCalls);
  }

  bool ReadCallHeader() {
    const auto marker = ReadAttributes();
    if (!marker) return false;
    const std::string held = std::exchange(held_, {});
    if (*marker == 1) return GoMalformed(State::kEnd);
    if (*marker > 1) return GoMalformed(State::kBetweenCalls);
    std::string_view name = held;
    SkipBlanks(&name);
    call_is_sound_ = Skip("name=\"", &name);
    if (!call_is_sound_) return GoMalformed(State::kCallBody);
    keys_.clear();
    in_header_gap_ = true;
    Emit(Kind::kToolCallBegin, name);
    return Go(State::kCallBody);
  }

  // The text up to the end of a tag's attributes (marker 0) goes to held_. End of sentence (1) and
  // another tag, which is left unread (2, 3), come when the tag is broken.
  std::optional<std::size_t> ReadAttributes() {
    const auto marker = reader_.ReadUntil(
        {kEndAttributes, io::kEndOfSentence, io::kOpenTag, io::kCloseTag}, &held_);
    if (marker == 2) reader_.PutBack(io::kOpenTag);
    if (marker == 3) reader_.PutBack(io::kCloseTag);
    return marker;
  }

  bool ReadCallBody() {
    const auto marker =
        reader_.ReadUntil({kParameter, kEndCall, kCall, kEndCalls, io::kEndOfSentence}, &held_);
    if (!marker) return false;
    const std::string gap = std::exchange(held_, {});
    const bool after_header = std::exchange(in_header_gap_, false);
    if (after_header ? gap != "\n" && gap != "\n\n" : gap != ">\n") Flaw(ChatFlaw::kMalformedCall);
    switch (*marker) {
      case 0: return Go(State::kParameterHeader);
      case 1: EndCall(); return Go(State::kBetweenCalls);
      // The call was not closed; it stays without an end.
      case 2: LeaveCall(); return GoMalformed(State::kCallHeader);
      case 3: return GoMalformed(State::kAfterCalls);
      default: return GoMalformed(State::kEnd);
    }
  }

  void LeaveCall() {
    if (call_is_sound_) ++call_;
    call_is_sound_ = false;
  }

  void EndCall() {
    if (call_is_sound_) {
      Emit(Kind::kToolCallArguments, keys_.empty() ? "{}" : "}");
      Emit(Kind::kToolCallEnd, {});
    }
    LeaveCall();
  }

  bool ReadParameterHeader() {
    const auto marker = ReadAttributes();
    if (!marker) return false;
    const std::string held = std::exchange(held_, {});
    if (*marker == 0) {
      BeginValue(held);
      return Go(State::kValue);
    }
    LeaveCall();
    return GoMalformed(*marker == 1 ? State::kEnd : State::kCallBody);
  }

  // `header`: all of the attributes but the closing quote.
  void BeginValue(std::string_view header) {
    value_type_ = ValueType::kNone;
    value_.clear();
    if (!Skip(" name=\"", &header)) {
      Flaw(ChatFlaw::kMalformedCall);
      return LeaveCall();
    }
    const std::size_t typed = header.find("\" string=\"");
    const std::size_t end = typed != header.npos ? typed : header.find('"');
    const std::string key(header.substr(0, end));
    header.remove_prefix(key.size());
    const bool string = header == "\" string=\"true";
    const bool json = header == "\" string=\"false";
    const bool is_new = keys_.insert(key).second;
    if (!is_new || !(string || json)) Flaw(ChatFlaw::kMalformedCall);
    if (!is_new || !call_is_sound_) return;
    value_type_ = string ? ValueType::kString : json ? ValueType::kJson : ValueType::kAny;
    Emit(Kind::kToolCallArguments, keys_.size() == 1 ? "{" : ", ");
    EmitQuoted(key);
    Emit(Kind::kToolCallArguments, string ? ": \"" : ": ");
  }

  void EmitEscaped(std::string_view text) {
    std::string escaped;
    io::AppendJsonEscaped(text, &escaped);
    Emit(Kind::kToolCallArguments, escaped);
  }

  void EmitQuoted(std::string_view text) {
    Emit(Kind::kToolCallArguments, "\"");
    EmitEscaped(text);
    Emit(Kind::kToolCallArguments, "\"");
  }

  void AddToValue(std::string_view text) {
    if (value_type_ == ValueType::kString) {
      EmitEscaped(text);
    } else if (value_type_ != ValueType::kNone) {
      value_ += text;  // not sent before it is known to be JSON
    }
  }

  void EndValue() {
    switch (value_type_) {
      case ValueType::kString: return Emit(Kind::kToolCallArguments, "\"");
      case ValueType::kJson:
      case ValueType::kAny:
        // One level of depth goes to the object of the arguments, in which the value will stand.
        if (io::ParseJson(value_, io::kDeepestJson - 1).ok()) {
          return Emit(Kind::kToolCallArguments, value_);
        }
        Flaw(ChatFlaw::kMalformedCall);
        return EmitQuoted(value_);
      case ValueType::kNone: return;
    }
  }

  bool ReadValue() {
    std::string text;
    const auto marker = reader_.ReadUntil({kEndParameter}, &text);
    AddToValue(text);
    return marker && Go(State::kValueEnd);
  }

  bool ReadValueEnd() {
    const std::optional<bool> ends = ValueEnds(reader_.rest());
    if (!ends && !reader_.ended()) return false;
    if (ends.value_or(true)) {
      EndValue();
      return Go(State::kCallBody);
    }
    AddToValue(kEndParameter);
    return GoMalformed(State::kValue);
  }

  // Whether `rest`, which follows on a closing tag, shows that the tag was one; nothing if more
  // text must decide.
  static std::optional<bool> ValueEnds(std::string_view rest) {
    if (rest.empty()) return std::nullopt;
    if (!Skip(">", &rest)) return false;
    const std::size_t size = rest.size();
    SkipBlanks(&rest);
    if (size - rest.size() > kWidestGap) return false;
    for (const std::string_view next :
         {kParameter, kEndCall, kCall, kEndCalls, io::kEndOfSentence}) {
      if (rest.starts_with(next)) return true;
      if (next.starts_with(rest)) return std::nullopt;
    }
    return false;
  }

  bool ReadAfterCalls() {
    const auto marker = reader_.ReadUntil({io::kEndOfSentence}, &held_);
    if (!std::exchange(held_, {}).empty()) Flaw(ChatFlaw::kTrailingText);
    return marker && Go(State::kEnd);
  }

  bool ReadEnd() {
    reader_.ReadUntil({}, &held_);
    if (!std::exchange(held_, {}).empty()) Flaw(ChatFlaw::kTrailingText);
    return false;
  }

  State state_ = State::kContent;
  ChatFlaw flaw_ = ChatFlaw::kNone;
  std::string bytes_ = {};  // not yet whole characters
  io::MarkerReader reader_ = {};
  std::vector<ChatEvent> events_ = {};  // of the current Feed
  std::string held_ = {};               // text of a tag or between tags, until its end is there
  std::size_t call_ = 0;
  bool call_is_sound_ = false;  // a call is open and can still be ended
  bool in_header_gap_ = false;  // between the opening tag of a call and the next tag
  std::set<std::string> keys_ = {};
  ValueType value_type_ = ValueType::kNone;
  std::string value_ = {};
};

ChatParser::ChatParser(ThinkingMode mode) : impl_(std::make_unique<Impl>(mode)) {}
ChatParser::~ChatParser() = default;
ChatParser::ChatParser(ChatParser&&) noexcept = default;
ChatParser& ChatParser::operator=(ChatParser&&) noexcept = default;

std::vector<ChatEvent> ChatParser::Feed(std::string_view text) { return impl_->Feed(text); }
std::vector<ChatEvent> ChatParser::Finish() { return impl_->Finish(); }
ChatFlaw ChatParser::flaw() const { return impl_->flaw(); }

}  // namespace birkhoff
