// What subcommands read: text from a flag, a file or a pipe, and lists of token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "birkhoff/engine.h"
#include "birkhoff/status.h"
#include "birkhoff/tokenizer.h"

namespace birkhoff::cli {

class Flags;

// Where an input may come from; at most one is set.
struct InputFlags {
  std::optional<std::string> text = {};
  std::optional<std::string> file = {};
  std::optional<std::string> ids = {};
  std::optional<std::string> ids_file = {};
};

// --prompt (in other words --text) and --file.
void AddTextFlags(Flags& flags, InputFlags& input);
// --ids and --ids-file.
void AddIdFlags(Flags& flags, InputFlags& input);

// A text or token ids.
struct Input {
  std::optional<std::string> text = {};
  std::optional<std::vector<std::int32_t>> ids = {};
};

// Reads what the flags name, or stdin when none is given and it is not a terminal; neither member
// is set when there is no input at all.
//
// Errors   kInvalidArgument  two sources, or ids that are not integers
//          kNotFound, kIoError for the file
Result<Input> ReadInput(const InputFlags& flags);

// The contents of a file; "-" is stdin.
Result<std::string> ReadAll(const std::string& path);

// Integers with commas, blanks or brackets between them: "0, 17, 42", "[0,17,42]".
Result<std::vector<std::int32_t>> ParseIds(std::string_view text, std::string_view where);

// kInvalidArgument unless there is at least one id and all are in [0, vocab).
Status CheckIds(std::span<const std::int32_t> ids, std::int64_t vocab);

// The tokenizer of the engine's model, or an error that says what can be done without one.
Result<const Tokenizer*> NeedTokenizer(const Engine& engine);

// The ids of a text as the start of a document: begin of sentence first, unless `no_bos`.
std::vector<std::int32_t> EncodeDocument(const Tokenizer& tokenizer, std::string_view text,
                                         bool no_bos);

// The ids of the input: as given, or of the text. Checked against the vocabulary.
Result<std::vector<std::int32_t>> InputIds(const Engine& engine, const Input& input, bool no_bos);

}  // namespace birkhoff::cli
