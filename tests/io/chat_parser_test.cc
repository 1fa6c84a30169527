#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "birkhoff/chat.h"
#include "io/utf8.h"

namespace birkhoff {
namespace {

using nlohmann::json;

const std::string kEnd = "<｜end▁of▁sentence｜>";

struct Vector {
  json expected = {};
  std::string completion = {};
  ThinkingMode mode = ThinkingMode::kChat;
};

std::vector<Vector> ParseVectors() {
  std::ifstream file(BIRKHOFF_SOURCE_DIR "/tests/data/chat_vectors/parse.json");
  std::vector<Vector> vectors;
  for (const json& vector : json::parse(file)) {
    const bool thinking = vector["thinking_mode"] == "thinking";
    vectors.push_back(
        {vector, vector["completion"], thinking ? ThinkingMode::kThinking : ThinkingMode::kChat});
  }
  return vectors;
}

// In the form of the vectors.
json ToJson(const ChatAnswer& answer) {
  json calls = json::array();
  for (const ToolCall& call : answer.tool_calls) {
    calls.push_back(
        {{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return {{"role", "assistant"},
          {"content", answer.content},
          {"reasoning_content", answer.reasoning_content},
          {"tool_calls", calls}};
}

json ParseInPieces(const std::vector<std::string_view>& pieces, ThinkingMode mode) {
  ChatParser parser(mode);
  ChatAnswer answer;
  const auto add = [&](const std::vector<ChatEvent>& events) {
    for (const ChatEvent& event : events) {
      EXPECT_EQ(io::ValidUtf8Prefix(event.text), event.text.size()) << event.text;
      answer.Add(event);
    }
  };
  for (const std::string_view piece : pieces) add(parser.Feed(piece));
  add(parser.Finish());
  return {ToJson(answer), ChatFlawName(parser.flaw())};
}

std::string Calls(const std::string& body) {
  return "x\n\n<｜DSML｜tool_calls>\n" + body + "</｜DSML｜tool_calls>" + kEnd;
}

std::string Call(const std::string& parameters) {
  return "<｜DSML｜invoke name=\"f\">\n" + parameters + "</｜DSML｜invoke>\n";
}

std::string Parameter(const std::string& key, const std::string& value, bool string = true) {
  return "<｜DSML｜parameter name=\"" + key + "\" string=\"" + (string ? "true" : "false") + "\">" +
         value + "</｜DSML｜parameter>\n";
}

// The arguments of each call, or the flaw in front.
std::vector<std::string> Arguments(const std::string& completion) {
  const ParsedAnswer parsed = ParseAnswer(completion, ThinkingMode::kChat);
  std::vector<std::string> out;
  if (parsed.flaw != ChatFlaw::kNone) out.emplace_back(ChatFlawName(parsed.flaw));
  for (const ToolCall& call : parsed.answer.tool_calls) out.push_back(call.arguments);
  return out;
}

using Strings = std::vector<std::string>;

TEST(ChatParser, AgreesWithTheOfficialParser) {
  const std::vector<Vector> vectors = ParseVectors();
  ASSERT_EQ(vectors.size(), 11u);
  for (const auto& [expected, completion, mode] : vectors) {
    const ParsedAnswer parsed = ParseAnswer(completion, mode);
    if (expected.contains("ok")) {
      EXPECT_EQ(ToJson(parsed.answer), expected["ok"]) << expected["name"];
      EXPECT_EQ(parsed.flaw, ChatFlaw::kNone) << expected["name"];
    } else {
      const bool call = parsed.flaw == ChatFlaw::kMalformedCall;
      EXPECT_NE(parsed.flaw, ChatFlaw::kNone) << expected["name"];
      EXPECT_EQ(call ? "ValueError" : "AssertionError", expected["error"]) << expected["name"];
    }
  }
}

// The arguments are an object around the value, and must be readable as JSON of the same depth.
TEST(ChatParser, LeavesALevelOfDepthToTheArguments) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  const std::string fits = Calls(Call(Parameter("k", nested(127), /*string=*/false)));
  EXPECT_EQ(Arguments(fits), Strings{"{\"k\": " + nested(127) + "}"});
  const ParsedAnswer parsed = ParseAnswer(fits, ThinkingMode::kChat);
  const ChatMessage message = {.role = ChatRole::kAssistant,
                               .content = parsed.answer.content,
                               .tool_calls = parsed.answer.tool_calls};
  EXPECT_TRUE(EncodeChat({message}, {.thinking_mode = ThinkingMode::kChat}).ok());
  const std::string too_deep = Calls(Call(Parameter("k", nested(128), /*string=*/false)));
  EXPECT_EQ(Arguments(too_deep), (Strings{std::string(ChatFlawName(ChatFlaw::kMalformedCall)),
                                          "{\"k\": \"" + nested(128) + "\"}"}));
}

TEST(ChatParser, ReturnsWhatCanBeReturned) {
  std::map<std::string, ParsedAnswer> parsed;
  for (const auto& [expected, completion, mode] : ParseVectors()) {
    parsed[expected["name"]] = ParseAnswer(completion, mode);
  }
  EXPECT_EQ(parsed["missing_eos"].answer.content, "cut off");
  EXPECT_EQ(parsed["missing_eos"].flaw, ChatFlaw::kMissingEnd);
  EXPECT_EQ(parsed["unclosed_think"].answer.reasoning_content, "never closes");
  EXPECT_EQ(parsed["unclosed_think"].flaw, ChatFlaw::kUnclosedReasoning);
  EXPECT_EQ(parsed["unclosed_call"].answer.content, "x");
  EXPECT_TRUE(parsed["unclosed_call"].answer.tool_calls.empty());
  EXPECT_EQ(parsed["trailing"].answer.content, "x");
  EXPECT_EQ(parsed["trailing"].answer.tool_calls.at(0).arguments, "{\"a\": 1}");
  EXPECT_EQ(parsed["trailing"].flaw, ChatFlaw::kTrailingText);
}

TEST(ChatParser, CutsDoNotMatter) {
  std::vector<Vector> vectors = ParseVectors();
  const std::string hard =
      "今\n\n\n<｜DSML｜tool_call <think" +
      Calls(Call(Parameter("k", "🙂 </｜DSML｜parameter> \"\\")) + "junk" + Call(""));
  vectors.push_back({{}, hard, ThinkingMode::kChat});
  vectors.push_back({{}, "th\xff</think" + hard + "more", ThinkingMode::kThinking});
  for (const auto& [expected, text, mode] : vectors) {
    const std::string_view view = text;
    const json whole = ParseInPieces({view}, mode);
    std::vector<std::string_view> bytes;
    for (std::size_t cut = 0; cut < view.size(); ++cut) {
      bytes.push_back(view.substr(cut, 1));
      ASSERT_EQ(ParseInPieces({view.substr(0, cut), view.substr(cut)}, mode), whole) << cut;
    }
    EXPECT_EQ(ParseInPieces(bytes, mode), whole);
  }
}

TEST(ChatParser, SendsTextAsSoonAsItIsSure) {
  ChatParser parser(ThinkingMode::kThinking);
  const auto feed = [&](std::string_view text) {
    std::string out;
    for (const ChatEvent& event : parser.Feed(text)) out += event.text + "|";
    return out;
  };
  EXPECT_EQ(feed("a </thin"), "a |");
  EXPECT_EQ(feed("g </think"), "</thing |");
  EXPECT_EQ(feed(">b\n\n"), "b|");
  EXPECT_EQ(feed("c\n\n<｜DSML"), "\n\nc|");
  EXPECT_EQ(feed("｜tool_calls>\n<｜DSML｜invoke name=\"f\">"), "f|");
  EXPECT_EQ(feed("\n<｜DSML｜parameter name=\"k\" string=\"true\">v\"<"), "{\"k\": \"v\\\"|");
  EXPECT_EQ(feed("/｜DSML｜parameter>\n</｜DSML｜invoke>"), "\"}||");
}

TEST(ChatParser, StringsAreTakenAsTheyStand) {
  for (const std::string value :
       {"make 2>&1", "a<b", "</think><｜DSML｜invoke name=\"g\">\n", "<｜end▁of▁sentence｜>",
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>", "\x01\t\"\\", "", "</｜DSML｜", ">", "2>"}) {
    const Strings arguments = Arguments(Calls(Call(Parameter("k", value))));
    ASSERT_EQ(arguments.size(), 1u) << value;
    EXPECT_EQ(json::parse(arguments[0])["k"], value);
  }
  // A closing tag that no markup follows is text, though DeepSeek's parser gives up there.
  EXPECT_EQ(Arguments(Calls(Call(Parameter("k", "a</｜DSML｜parameter> b")))),
            (Strings{"malformed tool call", "{\"k\": \"a</｜DSML｜parameter> b\"}"}));
}

TEST(ChatParser, ArgumentsAreAlwaysAnObject) {
  const Strings flawed = {"malformed tool call"};
  const auto with_flaw = [&](const std::string& arguments) {
    return Strings{"malformed tool call", arguments};
  };
  EXPECT_EQ(Arguments(Calls(Call(Parameter("k", "{\"a\":[1, null]}", false)))),
            Strings{"{\"k\": {\"a\":[1, null]}}"});
  EXPECT_EQ(Arguments(Calls(Call(Parameter("k", "True", false)))), with_flaw("{\"k\": \"True\"}"));
  EXPECT_EQ(Arguments(Calls(Call(Parameter("k", "1", false) + Parameter("k", "2", false)))),
            with_flaw("{\"k\": 1}"));
  const std::string untyped = "<｜DSML｜parameter name=\"k\">";
  const std::string close = "</｜DSML｜parameter>\n";
  EXPECT_EQ(Arguments(Calls(Call(untyped + "5" + close))), with_flaw("{\"k\": 5}"));
  EXPECT_EQ(Arguments(Calls(Call(untyped + "five" + close))), with_flaw("{\"k\": \"five\"}"));
  EXPECT_EQ(Arguments(Calls(Call("<｜DSML｜parameter k>5" + close))), flawed);
  EXPECT_EQ(Arguments(Calls("<｜DSML｜invoke f>\n</｜DSML｜invoke>\n" + Call(""))),
            with_flaw("{}"));
}

TEST(ChatParser, BrokenCallsDoNotHideTheOthers) {
  const std::string good = Call(Parameter("k", "v"));
  const std::string good_arguments = "{\"k\": \"v\"}";
  const std::string unclosed = "<｜DSML｜invoke name=\"g\">\n" + Parameter("a", "b");
  EXPECT_EQ(Arguments(Calls(unclosed + good)), (Strings{"malformed tool call", good_arguments}));
  EXPECT_EQ(Arguments(Calls(good + unclosed)), (Strings{"malformed tool call", good_arguments}));
  EXPECT_EQ(Arguments(Calls(good + "chatter" + good)),
            (Strings{"malformed tool call", good_arguments, good_arguments}));
  // Calls are numbered as they begin, so that an open one keeps its number.
  ChatParser parser(ThinkingMode::kChat);
  std::vector<std::size_t> begun;
  for (const ChatEvent& event : parser.Feed(Calls(unclosed + good + good))) {
    if (event.kind == ChatEvent::Kind::kToolCallBegin) begun.push_back(event.call);
  }
  EXPECT_EQ(begun, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(ChatParser, CallsWithoutABlankLineOrInsideReasoningCount) {
  const std::string calls = "<｜DSML｜tool_calls>\n" + Call("") + "</｜DSML｜tool_calls>" + kEnd;
  EXPECT_EQ(Arguments("x\n" + calls), (Strings{"malformed tool call", "{}"}));
  const ParsedAnswer parsed = ParseAnswer("hm\n\n" + calls, ThinkingMode::kThinking);
  EXPECT_EQ(parsed.flaw, ChatFlaw::kUnclosedReasoning);
  EXPECT_EQ(parsed.answer.reasoning_content, "hm");
  EXPECT_EQ(parsed.answer.tool_calls.size(), 1u);
}

TEST(ChatParser, TellsOfStrayMarkers) {
  for (const std::string text :
       {"a<think>b", "a</think>b", "<｜begin▁of▁sentence｜>", "a ｜DSML｜ b"}) {
    const ParsedAnswer parsed = ParseAnswer(text + kEnd, ThinkingMode::kChat);
    EXPECT_EQ(parsed.flaw, ChatFlaw::kStrayMarker) << text;
    EXPECT_EQ(parsed.answer.content, text);
  }
}

// Cut off anywhere: what has come is there, and a call that has ended has sound arguments.
TEST(ChatParser, EveryStartOfAnAnswerParses) {
  const std::string text =
      Calls(Call(Parameter("k", "v🙂") + Parameter("n", "[1]", false)) + Call(""));
  std::size_t calls = 0;
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const ParsedAnswer parsed = ParseAnswer(text.substr(0, size), ThinkingMode::kChat);
    EXPECT_GE(parsed.answer.tool_calls.size(), calls);
    calls = parsed.answer.tool_calls.size();
    for (const ToolCall& call : parsed.answer.tool_calls) {
      EXPECT_TRUE(json::parse(call.arguments).is_object());
    }
  }
  EXPECT_EQ(calls, 2u);
}

TEST(ChatParser, TakesLongAnswersInLinearTime) {
  std::string many;
  for (int i = 0; i < 20000; ++i) many += Call(Parameter("k", "v"));
  EXPECT_EQ(ParseAnswer(Calls(many), ThinkingMode::kChat).answer.tool_calls.size(), 20000u);
  for (const std::string unit : {"\n", "<", "<｜DSML｜tool_call", "</｜DSML｜parameter> x"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    const json whole = ParseInPieces({text, kEnd}, ThinkingMode::kChat);
    EXPECT_EQ(whole[0]["content"], text);
    const ParsedAnswer value = ParseAnswer(Calls(Call(Parameter("k", text))), ThinkingMode::kChat);
    ASSERT_EQ(value.answer.tool_calls.size(), 1u);
    EXPECT_EQ(json::parse(value.answer.tool_calls[0].arguments)["k"], text);
  }
}

}  // namespace
}  // namespace birkhoff
