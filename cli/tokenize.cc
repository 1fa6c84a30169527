// birkhoff tokenize: text to token ids and back, without loading weights.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "birkhoff/chat.h"
#include "birkhoff/tokenizer.h"
#include "chat.h"
#include "flags.h"
#include "generation.h"
#include "input.h"
#include "json_out.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples = R"(birkhoff tokenize --text "Hello, world"
birkhoff tokenize --ids 9906,11,1917               back to the exact bytes
birkhoff tokenize --file article.txt --json        ids and the text of each
birkhoff tokenize --chat --text "Hi" --thinking    the prompt that a chat makes
birkhoff tokenize --messages conversation.json --json)";

struct TokenizeFlags {
  ModelFlags model = {};
  InputFlags input = {};
  std::optional<std::string> messages = {};
  bool chat = false;
  bool thinking = false;
  bool special = false;
  bool bos = false;
  bool json = false;
};

void PrintIds(const std::vector<std::int32_t>& ids) { fmt::print("{}\n", fmt::join(ids, ",")); }

void PrintIdsJson(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids, Json json) {
  Json pieces = Json::array();
  for (std::int32_t id : ids) pieces.push_back(std::string(tokenizer.TokenText(id)));
  json["ids"] = ids;
  json["pieces"] = std::move(pieces);
  PrintJson(json);
}

Status ShowChat(const TokenizeFlags& flags, const Tokenizer& tokenizer,
                const std::vector<ChatMessage>& messages) {
  const ChatOptions options = {.thinking_mode =
                                   flags.thinking ? ThinkingMode::kThinking : ThinkingMode::kChat};
  BK_ASSIGN_OR_RETURN(const std::vector<TextPart> parts, EncodeChat(messages, options));
  std::string prompt;
  for (const TextPart& part : parts) prompt += part.text;
  if (flags.json) {
    PrintIdsJson(tokenizer, tokenizer.Encode(parts), {{"prompt", prompt}});
  } else {
    Emit(prompt + "\n");
  }
  return Status::Ok();
}

Status ShowText(const TokenizeFlags& flags, const Tokenizer& tokenizer,
                const std::vector<std::int32_t>& ids) {
  BK_RETURN_IF_ERROR(CheckIds(ids, tokenizer.vocab_size()));
  const std::string text = tokenizer.Decode(ids);
  if (flags.json) {
    PrintIdsJson(tokenizer, ids, {{"text", text}});
  } else {
    Emit(text);
    if (isatty(STDOUT_FILENO) == 1) Emit("\n");  // nowhere else: the bytes are exact
  }
  return Status::Ok();
}

void ShowIds(const TokenizeFlags& flags, const Tokenizer& tokenizer, const std::string& text) {
  std::vector<std::int32_t> ids = tokenizer.Encode(text, {.parse_special = flags.special});
  if (flags.bos && tokenizer.bos_id()) ids.insert(ids.begin(), *tokenizer.bos_id());
  if (flags.json) {
    PrintIdsJson(tokenizer, ids, {{"text", text}});
  } else {
    PrintIds(ids);
  }
}

Result<Exit> Tokenize(const TokenizeFlags& flags) {
  BK_ASSIGN_OR_RETURN(const std::string folder, ModelFolder(flags.model));
  BK_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(folder));
  if (flags.messages) {
    BK_ASSIGN_OR_RETURN(const std::string json, ReadAll(*flags.messages));
    const Result<std::vector<ChatMessage>> messages = ParseChatMessages(json);
    if (!messages.ok()) return messages.status().Annotate(*flags.messages);
    BK_RETURN_IF_ERROR(ShowChat(flags, tokenizer, *messages));
    return Exit::kOk;
  }
  BK_ASSIGN_OR_RETURN(const Input input, ReadInput(flags.input));
  if (input.ids) {
    BK_RETURN_IF_ERROR(ShowText(flags, tokenizer, *input.ids));
  } else if (!input.text) {
    return Status::InvalidArgument(
        "no input: expected --text, --file, --ids, --ids-file, --messages or a pipe");
  } else if (flags.chat) {
    BK_RETURN_IF_ERROR(ShowChat(flags, tokenizer, {UserMessage(*input.text)}));
  } else {
    ShowIds(flags, tokenizer, *input.text);
  }
  return Exit::kOk;
}

}  // namespace

void AddTokenize(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<TokenizeFlags>();
  Flags flags(app, "tokenize", "Turn text into token ids, ids into text, or show a chat prompt.",
              kExamples);
  AddModelFlag(flags, f->model);
  AddTextFlags(flags, f->input);
  AddIdFlags(flags, f->input);
  flags.Switch("--special", f->special, "recognise special tokens in the text: <think>, ...");
  flags.Switch("--bos", f->bos, "put the begin token in front");
  flags.SubjectSwitch("--chat", f->chat,
                      "the text is a message: print the prompt that a chat makes");
  flags.Subject("--messages", f->messages, "PATH",
                "print the prompt of a conversation: OpenAI-style JSON; - is stdin");
  flags.SubjectSwitch("--thinking", f->thinking, "chat: the prompt for an answer with reasoning");
  flags.Switch("--json", f->json, "print one JSON object: ids, the text of each, and the text");
  flags.app().callback([f, &chosen] { chosen = [f] { return Tokenize(*f); }; });
}

}  // namespace birkhoff::cli
