// OpenAI-style JSON to chat messages.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "birkhoff/chat.h"
#include "io/json_value.h"

namespace birkhoff {
namespace {

using io::JsonValue;
using Kind = io::JsonValue::Kind;

constexpr std::array<std::pair<std::string_view, ChatRole>, 6> kRoles = {{
    {"system", ChatRole::kSystem},
    {"developer", ChatRole::kDeveloper},
    {"user", ChatRole::kUser},
    {"assistant", ChatRole::kAssistant},
    {"tool", ChatRole::kTool},
    {"latest_reminder", ChatRole::kLatestReminder},
}};

Status Mismatch(std::string_view where, std::string_view expected, const JsonValue* found) {
  return Status::InvalidArgument(
      fmt::format("{}: expected {}, found {}", where, expected,
                  found == nullptr ? "nothing" : io::JsonKindName(found->kind)));
}

Status CheckKind(const JsonValue* value, Kind kind, std::string_view where) {
  if (value != nullptr && value->Is(kind)) return {};
  return Mismatch(where, io::JsonKindName(kind), value);
}

Status ReadString(const JsonValue& object, std::string_view key, const std::string& where,
                  std::string* out) {
  const JsonValue* value = object.Find(key);
  if (value == nullptr) return {};
  BK_RETURN_IF_ERROR(CheckKind(value, Kind::kString, fmt::format("{}.{}", where, key)));
  *out = value->text;
  return {};
}

// A string or a list of text parts.
Status ReadContent(const JsonValue& message, const std::string& where, std::string* out) {
  const JsonValue* content = message.Find("content");
  if (content == nullptr || !content->Is(Kind::kArray)) {
    return ReadString(message, "content", where, out);
  }
  for (std::size_t i = 0; i < content->items.size(); ++i) {
    const JsonValue& part = content->items[i];
    const JsonValue* type = part.Find("type");
    const JsonValue* text = part.Find("text");
    const std::string part_where = fmt::format("{}.content[{}]", where, i);
    if (type == nullptr || type->text != "text") {
      return Mismatch(part_where + ".type", "\"text\"", type);
    }
    BK_RETURN_IF_ERROR(CheckKind(text, Kind::kString, part_where + ".text"));
    if (i > 0) *out += "\n\n";
    *out += text->text;
  }
  return {};
}

Status ReadToolCalls(const JsonValue& message, const std::string& where,
                     std::vector<ToolCall>* out) {
  const JsonValue* calls = message.Find("tool_calls");
  if (calls == nullptr) return {};
  BK_RETURN_IF_ERROR(CheckKind(calls, Kind::kArray, where + ".tool_calls"));
  for (std::size_t i = 0; i < calls->items.size(); ++i) {
    const JsonValue& item = calls->items[i];
    const std::string call_where = fmt::format("{}.tool_calls[{}]", where, i);
    const JsonValue* function = item.Find("function");
    BK_RETURN_IF_ERROR(CheckKind(function, Kind::kObject, call_where + ".function"));
    const JsonValue* name = function->Find("name");
    const JsonValue* arguments = function->Find("arguments");
    BK_RETURN_IF_ERROR(CheckKind(name, Kind::kString, call_where + ".function.name"));
    ToolCall call = {.name = name->text};
    BK_RETURN_IF_ERROR(ReadString(item, "id", call_where, &call.id));
    if (arguments != nullptr && arguments->Is(Kind::kObject)) {
      call.arguments = io::ToPythonJson(*arguments);
    } else {
      BK_RETURN_IF_ERROR(CheckKind(arguments, Kind::kString, call_where + ".function.arguments"));
      call.arguments = arguments->text;
    }
    out->push_back(std::move(call));
  }
  return {};
}

// [{"type": "function", "function": {...}}, ...]
Status ReadTools(const JsonValue& object, const std::string& where, std::vector<std::string>* out) {
  const JsonValue* tools = object.Find("tools");
  if (tools == nullptr) return {};
  BK_RETURN_IF_ERROR(CheckKind(tools, Kind::kArray, where + "tools"));
  for (std::size_t i = 0; i < tools->items.size(); ++i) {
    const JsonValue* function = tools->items[i].Find("function");
    BK_RETURN_IF_ERROR(
        CheckKind(function, Kind::kObject, fmt::format("{}tools[{}].function", where, i)));
    out->push_back(io::ToPythonJson(*function));
  }
  return {};
}

Result<ChatRole> ReadRole(const JsonValue& message, const std::string& where) {
  std::string name;
  BK_RETURN_IF_ERROR(ReadString(message, "role", where, &name));
  for (const auto& [known, role] : kRoles) {
    if (name == known) return role;
  }
  return Status::InvalidArgument(
      fmt::format("{}.role: expected system, developer, user, assistant, tool or latest_reminder, "
                  "found \"{}\"",
                  where, name));
}

Result<ChatMessage> ReadMessage(const JsonValue& json, const std::string& where) {
  BK_RETURN_IF_ERROR(CheckKind(&json, Kind::kObject, where));
  ChatMessage message;
  BK_ASSIGN_OR_RETURN(message.role, ReadRole(json, where));
  BK_RETURN_IF_ERROR(ReadContent(json, where, &message.content));
  BK_RETURN_IF_ERROR(ReadString(json, "reasoning", where, &message.reasoning_content));
  BK_RETURN_IF_ERROR(ReadString(json, "reasoning_content", where, &message.reasoning_content));
  BK_RETURN_IF_ERROR(ReadString(json, "tool_call_id", where, &message.tool_call_id));
  BK_RETURN_IF_ERROR(ReadString(json, "task", where, &message.task));
  BK_RETURN_IF_ERROR(ReadToolCalls(json, where, &message.tool_calls));
  BK_RETURN_IF_ERROR(ReadTools(json, where + ".", &message.tools));
  if (const JsonValue* prefix = json.Find("prefix")) {
    BK_RETURN_IF_ERROR(CheckKind(prefix, Kind::kBool, where + ".prefix"));
    message.unfinished = prefix->text == "true";
  }
  if (const JsonValue* format = json.Find("response_format")) {
    message.response_format = io::ToPythonJson(*format);
  }
  return message;
}

}  // namespace

Result<std::vector<ChatMessage>> ParseChatMessages(std::string_view json) {
  BK_ASSIGN_OR_RETURN(const JsonValue root, io::ParseJson(json));
  const JsonValue* list = root.Is(Kind::kObject) ? root.Find("messages") : &root;
  BK_RETURN_IF_ERROR(CheckKind(list, Kind::kArray, "messages"));
  std::vector<ChatMessage> messages;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    BK_ASSIGN_OR_RETURN(ChatMessage message,
                        ReadMessage(list->items[i], fmt::format("messages[{}]", i)));
    messages.push_back(std::move(message));
  }
  std::vector<std::string> tools;
  BK_RETURN_IF_ERROR(ReadTools(root, "", &tools));
  if (tools.empty()) return messages;
  auto system = messages.begin();
  while (system != messages.end() && system->role != ChatRole::kSystem) ++system;
  if (system == messages.end()) {
    system = messages.insert(messages.begin(), {.role = ChatRole::kSystem});
  }
  system->tools.insert(system->tools.end(), tools.begin(), tools.end());
  return messages;
}

}  // namespace birkhoff
