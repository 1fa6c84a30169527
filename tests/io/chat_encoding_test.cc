#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "birkhoff/chat.h"

namespace birkhoff {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::StartsWith;

std::string Join(const std::vector<TextPart>& parts) {
  std::string text;
  for (const TextPart& part : parts) text += part.text;
  return text;
}

struct Vector {
  std::string name = {};
  std::vector<TextPart> parts = {};
  std::string prompt = {};
};

std::vector<Vector> EncodeVectors() {
  std::ifstream file(BIRKHOFF_SOURCE_DIR "/tests/data/chat_vectors/encode.json");
  std::vector<Vector> vectors;
  for (const auto& json : ordered_json::parse(file)) {
    const auto messages = ParseChatMessages(json["messages"].dump());
    EXPECT_TRUE(messages.ok()) << messages.status().ToString();
    const bool thinking = json["thinking_mode"] == "thinking";
    const auto parts = EncodeChat(
        *messages, {.thinking_mode = thinking ? ThinkingMode::kThinking : ThinkingMode::kChat,
                    .drop_thinking = json.value("drop_thinking", true),
                    .max_effort = json.value("reasoning_effort", "") == "max"});
    EXPECT_TRUE(parts.ok()) << parts.status().ToString();
    vectors.push_back({json["name"], *parts, json["prompt"]});
  }
  return vectors;
}

std::string Prompt(std::string_view messages, const ChatOptions& options = {}) {
  const auto parsed = ParseChatMessages(messages);
  if (!parsed.ok()) return parsed.status().message();
  const auto parts = EncodeChat(*parsed, options);
  return parts.ok() ? Join(*parts) : parts.status().message();
}

TEST(ChatEncoding, AgreesWithTheOfficialEncoder) {
  const std::vector<Vector> vectors = EncodeVectors();
  ASSERT_EQ(vectors.size(), 18u);
  for (const Vector& vector : vectors) EXPECT_EQ(Join(vector.parts), vector.prompt) << vector.name;
}

TEST(ChatEncoding, PartsGetTheIdsOfTheWholePrompt) {
  const auto tokenizer = Tokenizer::Load(BIRKHOFF_SOURCE_DIR "/models/tiny-v4");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  for (const Vector& vector : EncodeVectors()) {
    if (vector.name == "special_text_in_content") continue;
    EXPECT_EQ(tokenizer->Encode(vector.parts),
              tokenizer->Encode(vector.prompt, {.parse_special = true}))
        << vector.name;
  }
}

// Every field that a client fills in, full of markup: only the markup of the encoder counts.
TEST(ChatEncoding, NoFieldInjectsMarkup) {
  const auto tokenizer = Tokenizer::Load(BIRKHOFF_SOURCE_DIR "/models/tiny-v4");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  const auto special_ids = [&](const std::string& text) {
    const std::vector<ChatMessage> messages = {
        {.role = ChatRole::kSystem,
         .content = text,
         .tools = {"{\"name\": \"" + text + "\"}"},
         .response_format = "\"" + text + "\""},
        {.role = ChatRole::kLatestReminder, .content = text},
        {.role = ChatRole::kUser, .content = text},
        {.role = ChatRole::kAssistant,
         .content = text,
         .reasoning_content = text,
         .tool_calls = {{.id = text,
                         .name = text,
                         .arguments = "{\"" + text + "\": [\"" + text + "\"]}"}}},
        {.role = ChatRole::kTool, .content = text, .tool_call_id = text},
        {.role = ChatRole::kDeveloper, .content = text},
    };
    const auto parts = EncodeChat(messages, {});
    EXPECT_TRUE(parts.ok()) << parts.status().ToString();
    std::vector<std::int32_t> special;
    for (const std::int32_t id : tokenizer->Encode(*parts)) {
      if (tokenizer->IsSpecial(id)) special.push_back(id);
    }
    return special;
  };
  std::string markup;
  for (std::int32_t id = 0; id < 16; ++id) markup += tokenizer->TokenText(id);
  EXPECT_EQ(special_ids(markup), special_ids("x"));
  EXPECT_GT(special_ids("x").size(), 20u);
}

TEST(ChatEncoding, JoinsAndSortsWhatTheUserSideSays) {
  EXPECT_THAT(Prompt(R"([{"role": "user", "content": "a"}, {"role": "user", "content": [
               {"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}])"),
              HasSubstr("<｜User｜>a\n\nb\n\nc<｜Assistant｜>"));
  const std::string calls = R"([{"role": "assistant", "tool_calls": [
      {"id": "1", "function": {"name": "f", "arguments": {}}},
      {"id": "2", "function": {"name": "g", "arguments": "{}"}}]},)";
  EXPECT_THAT(
      Prompt(calls + R"({"role": "tool", "tool_call_id": "2", "content": "B"},
                      {"role": "user", "content": "u"},
                      {"role": "tool", "tool_call_id": "1", "content": "A"}])"),
      HasSubstr("<｜User｜><tool_result>A</tool_result>\n\nu\n\n<tool_result>B</tool_result>"));
  EXPECT_THAT(Prompt(calls + R"({"role": "user", "content": null}])"),
              HasSubstr("<｜DSML｜invoke name=\"f\">\n\n</｜DSML｜invoke>\n"
                        "<｜DSML｜invoke name=\"g\">\n\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>"));
}

TEST(ChatEncoding, FollowsTheRestOfTheRules) {
  const ChatOptions chat = {.thinking_mode = ThinkingMode::kChat};
  const std::string begin = "<｜begin▁of▁sentence｜>";
  EXPECT_EQ(Prompt("[]", {.max_effort = true}), begin);
  // Old developer messages are dropped with the reasoning, and kept without.
  const std::string developer =
      R"([{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}])";
  EXPECT_EQ(Prompt(developer), begin + "<｜User｜>u<｜Assistant｜><think>");
  EXPECT_EQ(Prompt(developer, chat), begin + "<｜User｜>d<｜User｜>u<｜Assistant｜></think>");
  // The answer to a task has no reasoning; effort counts in thinking mode only.
  EXPECT_EQ(Prompt(R"([{"role": "user", "content": "u", "task": "query"},
                       {"role": "assistant", "content": "q"}])"),
            begin + "<｜User｜>u<｜query｜>q<｜end▁of▁sentence｜>");
  EXPECT_EQ(Prompt(R"([{"role": "user", "content": "u"}])",
                   {.thinking_mode = ThinkingMode::kChat, .max_effort = true}),
            begin + "<｜User｜>u<｜Assistant｜></think>");
  EXPECT_EQ(Prompt(R"([{"role": "user", "content": "u"},
                       {"role": "assistant", "content": "Well", "prefix": true}])",
                   chat),
            begin + "<｜User｜>u<｜Assistant｜></think>Well");
  EXPECT_EQ(Prompt(R"([{"role": "system", "content": "s", "response_format": {"type":"object"}}])"),
            begin +
                "s\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to "
                "reply:\n{\"type\": \"object\"}");
}

TEST(ChatEncoding, TakesToolsOfTheRequest) {
  const std::string tools = R"("tools": [{"type": "function", "function": {"name":"f"}}])";
  const std::string user = R"({"role": "user", "content": "u"})";
  EXPECT_THAT(Prompt("{\"messages\": [" + user + "], " + tools + "}"),
              StartsWith("<｜begin▁of▁sentence｜>\n\n## Tools"));
  EXPECT_THAT(Prompt("{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, " + user + "], " +
                     tools + "}"),
              AllOf(StartsWith("<｜begin▁of▁sentence｜>s\n\n## Tools"),
                    HasSubstr("### Available Tool Schemas\n\n{\"name\": \"f\"}\n\nYou MUST")));
}

TEST(ChatEncoding, NamesWhatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {"{", "not JSON"},
      {"3", "messages: expected an array, found a number"},
      {"{}", "messages: expected an array, found nothing"},
      {"[3]", "messages[0]: expected an object, found a number"},
      {"[{}]", "messages[0].role: expected system, developer, user"},
      {R"([{"role": "bot"}])", "found \"bot\""},
      {R"([{"role": "user", "content": 3}])", "messages[0].content: expected a string"},
      {R"([{"role": "user", "content": [{"type": "image_url"}]}])",
       "content[0].type: expected \"text\""},
      {R"([{"role": "user", "content": [{"type": "text"}]}])",
       "content[0].text: expected a string"},
      {R"([{"role": "user", "task": "sing"}])", "messages[0]: task: expected action, query"},
      {R"([{"role": "assistant", "prefix": 1}])", "messages[0].prefix: expected a bool"},
      {R"([{"role": "assistant", "tool_calls": {}}])", "messages[0].tool_calls: expected an array"},
      {R"([{"role": "assistant", "tool_calls": [{}]}])",
       "tool_calls[0].function: expected an object"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}])",
       "tool_calls[0].function.arguments: expected a string, found nothing"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}])",
       "messages[0]: arguments of the call of f: not JSON"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}])",
       "expected a JSON object, found an array"},
      {R"([{"role": "system", "tools": [{}]}])",
       "messages[0].tools[0].function: expected an object"},
      {R"({"messages": [], "tools": 5})", "tools: expected an array, found a number"},
  };
  for (const auto& [messages, error] : cases) EXPECT_THAT(Prompt(messages), HasSubstr(error));
  const std::vector<ChatMessage> bad_tool = {{.role = ChatRole::kSystem, .tools = {"[]"}}};
  EXPECT_THAT(EncodeChat(bad_tool, {}).status().message(),
              HasSubstr("messages[0]: tool: expected a JSON object, found an array"));
}

}  // namespace
}  // namespace birkhoff
