// Chat messages to the prompt of DeepSeek-V4.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "birkhoff/chat.h"
#include "io/chat_markup.h"
#include "io/json_value.h"

namespace birkhoff {
namespace {

using io::JsonValue;
using Kind = io::JsonValue::Kind;

constexpr std::string_view kMaxEffort =
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to "
    "resolve the root cause, rigorously stress-testing your logic against all potential paths, "
    "edge cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate step, "
    "considered alternative, and rejected hypothesis to ensure absolutely no assumption is left "
    "unchecked.\n\n";

constexpr std::string_view kToolsBefore =
    "## Tools\n\nYou have access to a set of tools to help answer the user's question. You can "
    "invoke tools by writing a \"<｜DSML｜tool_calls>\" block like the following:\n\n"
    "<｜DSML｜tool_calls>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME\">\n"
    "<｜DSML｜parameter name=\"$PARAMETER_NAME\" string=\"true|false\">$PARAMETER_VALUE"
    "</｜DSML｜parameter>\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "<｜DSML｜invoke name=\"$TOOL_NAME2\">\n"
    "...\n"
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>\n\n"
    "String parameters should be specified as is and set `string=\"true\"`. For all other types "
    "(numbers, booleans, arrays, objects), pass the value in JSON format and set "
    "`string=\"false\"`.\n\n"
    "If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning "
    "inside <think>...</think> BEFORE any tool calls or final response.\n\n"
    "Otherwise, output directly after </think> with tool calls or final response.\n\n"
    "### Available Tool Schemas\n\n";

constexpr std::string_view kToolsAfter =
    "\n\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke "
    "tool calls.\n";

constexpr std::string_view kResponseFormat =
    "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n";

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kTasks = {{
    {"action", "<｜action｜>"},
    {"query", "<｜query｜>"},
    {"authority", "<｜authority｜>"},
    {"domain", "<｜domain｜>"},
    {"title", "<｜title｜>"},
    {"read_url", "<｜read_url｜>"},
}};

// One turn of the prompt: a message, or all tool results and user messages that follow each other.
struct Turn {
  ChatRole role = ChatRole::kUser;
  std::vector<const ChatMessage*> messages = {};
  std::string task = {};

  bool AsksForAnswer() const { return role == ChatRole::kUser || role == ChatRole::kDeveloper; }
};

std::vector<Turn> MakeTurns(const std::vector<ChatMessage>& messages) {
  std::vector<Turn> turns;
  for (const ChatMessage& message : messages) {
    const bool tool = message.role == ChatRole::kTool;
    const ChatRole role = tool ? ChatRole::kUser : message.role;
    const bool joins = role == ChatRole::kUser && !turns.empty() && turns.back().role == role &&
                       (tool || turns.back().task.empty());
    if (!joins) turns.push_back({.role = role});
    turns.back().messages.push_back(&message);
    if (!message.task.empty()) turns.back().task = message.task;
  }
  return turns;
}

// Puts the tool results of each turn, among the places that they hold, in the order of the calls.
void SortToolResults(std::vector<Turn>* turns) {
  std::unordered_map<std::string_view, std::size_t> order;
  const auto rank = [&order](const ChatMessage* result) {
    const auto it = order.find(result->tool_call_id);
    return it == order.end() ? 0 : it->second;
  };
  for (Turn& turn : *turns) {
    if (turn.role == ChatRole::kAssistant && !turn.messages[0]->tool_calls.empty()) {
      order.clear();
      for (const ToolCall& call : turn.messages[0]->tool_calls) {
        if (!call.id.empty()) order[call.id] = &call - turn.messages[0]->tool_calls.data();
      }
    }
    std::vector<const ChatMessage*> results;
    for (const ChatMessage* message : turn.messages) {
      if (message->role == ChatRole::kTool) results.push_back(message);
    }
    std::stable_sort(results.begin(), results.end(),
                     [&](const ChatMessage* a, const ChatMessage* b) { return rank(a) < rank(b); });
    auto next = results.begin();
    for (const ChatMessage*& message : turn.messages) {
      if (message->role == ChatRole::kTool) message = *next++;
    }
  }
}

std::size_t LastQuestion(const std::vector<Turn>& turns) {
  for (std::size_t i = turns.size(); i-- > 0;) {
    if (turns[i].AsksForAnswer()) return i;
  }
  return 0;
}

class Encoder {
 public:
  explicit Encoder(const ChatOptions& options)
      : thinking_(options.thinking_mode == ThinkingMode::kThinking),
        drop_thinking_(options.drop_thinking),
        max_effort_(options.max_effort) {}

  Result<std::vector<TextPart>> Encode(const std::vector<ChatMessage>& messages) {
    std::vector<Turn> turns = MakeTurns(messages);
    SortToolResults(&turns);
    for (const ChatMessage& message : messages) drop_thinking_ &= message.tools.empty();
    last_question_ = LastQuestion(turns);
    if (thinking_ && drop_thinking_) DropOldDevelopers(&turns);

    Markup(io::kBeginOfSentence);
    if (thinking_ && max_effort_ && !turns.empty()) Markup(kMaxEffort);
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const Status status = WriteTurn(turns, i);
      const auto message = turns[i].messages[0] - messages.data();
      if (!status.ok()) return status.Annotate(fmt::format("messages[{}]", message));
    }
    return std::move(parts_);
  }

 private:
  void Write(std::string_view text, bool markup) {
    if (text.empty()) return;
    if (parts_.empty() || parts_.back().markup != markup) parts_.push_back({.markup = markup});
    parts_.back().text += text;
  }
  void Markup(std::string_view text) { Write(text, true); }
  void Plain(std::string_view text) { Write(text, false); }

  // What a developer said before the last question goes the way of the reasoning.
  void DropOldDevelopers(std::vector<Turn>* turns) {
    const auto question = turns->begin() + static_cast<std::ptrdiff_t>(last_question_);
    const auto kept = std::remove_if(turns->begin(), question, [](const Turn& turn) {
      return turn.role == ChatRole::kDeveloper;
    });
    last_question_ = kept - turns->begin();
    turns->erase(kept, question);
  }

  Status WriteTurn(const std::vector<Turn>& turns, std::size_t i) {
    const Turn& turn = turns[i];
    const ChatMessage& message = *turn.messages[0];
    switch (turn.role) {
      case ChatRole::kSystem:
        Plain(message.content);
        BK_RETURN_IF_ERROR(WriteTools(message));
        break;
      case ChatRole::kDeveloper:
        Markup(io::kUser);
        Plain(message.content);
        BK_RETURN_IF_ERROR(WriteTools(message));
        break;
      case ChatRole::kUser:
      case ChatRole::kTool: WriteUser(turn); break;
      case ChatRole::kLatestReminder:
        Markup(io::kLatestReminder);
        Plain(message.content);
        break;
      case ChatRole::kAssistant: {
        const bool answers_task = i > 0 && !turns[i - 1].task.empty();
        BK_RETURN_IF_ERROR(WriteAssistant(message, ShowsThinking(i) && !answers_task));
        break;
      }
    }
    const bool answered = i + 1 < turns.size() && turns[i + 1].role != ChatRole::kAssistant &&
                          turns[i + 1].role != ChatRole::kLatestReminder;
    return answered ? Status() : WriteTransition(turn, i);
  }

  bool ShowsThinking(std::size_t turn) const {
    return thinking_ && (!drop_thinking_ || turn >= last_question_);
  }

  // What comes between a turn and the answer to it.
  Status WriteTransition(const Turn& turn, std::size_t i) {
    if (!turn.task.empty()) {
      const auto task = std::find_if(kTasks.begin(), kTasks.end(),
                                     [&](const auto& t) { return t.first == turn.task; });
      if (task == kTasks.end()) {
        return Status::InvalidArgument(fmt::format(
            "task: expected action, query, authority, domain, title or read_url, found \"{}\"",
            turn.task));
      }
      if (turn.task == "action") {
        Markup(io::kAssistant);
        Markup(thinking_ ? io::kThink : io::kEndThink);
      }
      Markup(task->second);
    } else if (turn.AsksForAnswer()) {
      Markup(io::kAssistant);
      Markup(ShowsThinking(i) ? io::kThink : io::kEndThink);
    }
    return {};
  }

  void WriteUser(const Turn& turn) {
    Markup(io::kUser);
    for (const ChatMessage* message : turn.messages) {
      const bool tool = message->role == ChatRole::kTool;
      if (message != turn.messages[0]) Markup("\n\n");
      if (tool) Markup("<tool_result>");
      Plain(message->content);
      if (tool) Markup("</tool_result>");
    }
  }

  Status WriteAssistant(const ChatMessage& message, bool thinking) {
    if (thinking) {
      Plain(message.reasoning_content);
      Markup(io::kEndThink);
    }
    Plain(message.content);
    if (!message.tool_calls.empty()) {
      Markup("\n\n<｜DSML｜tool_calls>\n");
      for (const ToolCall& call : message.tool_calls) BK_RETURN_IF_ERROR(WriteCall(call));
      Markup("</｜DSML｜tool_calls>");
    }
    if (!message.unfinished) Markup(io::kEndOfSentence);
    return {};
  }

  Status WriteCall(const ToolCall& call) {
    const Result<JsonValue> arguments = ParseObject(call.arguments);
    if (!arguments.ok()) {
      return arguments.status().Annotate(fmt::format("arguments of the call of {}", call.name));
    }
    Markup("<｜DSML｜invoke name=\"");
    Plain(call.name);
    Markup("\">\n");
    for (std::size_t i = 0; i < arguments->items.size(); ++i) {
      const JsonValue& value = arguments->items[i];
      const bool string = value.Is(Kind::kString);
      Markup("<｜DSML｜parameter name=\"");
      Plain(arguments->keys[i]);
      Markup(string ? "\" string=\"true\">" : "\" string=\"false\">");
      Plain(string ? value.text : io::ToPythonJson(value));
      Markup("</｜DSML｜parameter>\n");
    }
    if (arguments->items.empty()) Markup("\n");
    Markup("</｜DSML｜invoke>\n");
    return {};
  }

  static Result<JsonValue> ParseObject(std::string_view text) {
    BK_ASSIGN_OR_RETURN(JsonValue value, io::ParseJson(text));
    if (value.Is(Kind::kObject)) return value;
    return Status::InvalidArgument(
        fmt::format("expected a JSON object, found {}", io::JsonKindName(value.kind)));
  }

  // The schemas and the response format, each after a blank line.
  Status WriteTools(const ChatMessage& message) {
    if (!message.tools.empty()) {
      Markup("\n\n");
      Markup(kToolsBefore);
      for (const std::string& tool : message.tools) {
        const Result<JsonValue> schema = ParseObject(tool);
        if (!schema.ok()) return schema.status().Annotate("tool");
        if (&tool != &message.tools[0]) Markup("\n");
        Plain(io::ToPythonJson(*schema));
      }
      Markup(kToolsAfter);
    }
    if (!message.response_format.empty()) {
      const Result<JsonValue> format = io::ParseJson(message.response_format);
      if (!format.ok()) return format.status().Annotate("response_format");
      Markup("\n\n");
      Markup(kResponseFormat);
      Plain(io::ToPythonJson(*format));
    }
    return {};
  }

  bool thinking_ = true;
  bool drop_thinking_ = true;
  bool max_effort_ = false;
  std::size_t last_question_ = 0;
  std::vector<TextPart> parts_ = {};
};

}  // namespace

Result<std::vector<TextPart>> EncodeChat(const std::vector<ChatMessage>& messages,
                                         const ChatOptions& options) {
  return Encoder(options).Encode(messages);
}

}  // namespace birkhoff
