// Text to token ids and back: byte-level BPE as Hugging Face's tokenizer.json describes it.
//
// Goals      The ids of the Hugging Face tokenizers library. Any bytes, UTF-8 or not, come back
//            exactly from Decode(Encode(bytes)). Time grows as n log n at worst in the length of
//            the text, with no recursion on it. Text of a user cannot become a special token.
// Non-goals  Other models than BPE, normalisers, training; steps that a file asks for and that are
//            not supported are refused by name when it is loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "birkhoff/status.h"

namespace birkhoff {

// A stretch of a prompt. Added tokens ("<think>", end of sentence, ...) are recognised inside
// markup only; in any other part the same characters are plain text.
struct TextPart {
  std::string text = {};
  bool markup = false;
};

struct EncodeOptions {
  bool parse_special = false;  // recognise added tokens: for trusted text only
};

// Immutable and cheap to copy (copies share the tables). All members may be called from several
// threads at once.
class Tokenizer {
 public:
  // `path` is a model folder or its tokenizer.json; a tokenizer_config.json beside that file names
  // the begin and end tokens.
  // Errors   kNotFound, kIoError for the file; kInvalidArgument for its content, kUnsupported for a
  //          model or step that Birkhoff does not know. Messages name the file and the field.
  static Result<Tokenizer> Load(const std::filesystem::path& path);

  // The same from the contents of tokenizer.json and, optionally, tokenizer_config.json.
  static Result<Tokenizer> FromJson(std::string_view tokenizer_json,
                                    std::string_view config_json = {});

  // Adds no begin or end token. Bytes that are not UTF-8 are encoded as they are.
  std::vector<std::int32_t> Encode(std::string_view text, EncodeOptions options = {}) const;

  // The ids of the parts' joined text. An added token counts only where it lies within one markup
  // part; elsewhere pieces run across the borders of parts, so that a prompt without special
  // tokens in its plain parts gets the ids of Encode(joined, {.parse_special = true}).
  std::vector<std::int32_t> Encode(std::span<const TextPart> parts) const;

  // The bytes of the tokens, joined; they need not be UTF-8 (see StreamDecoder). Ids that no token
  // has add nothing.
  std::string Decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  // The bytes of one token; empty for an id that no token has. Valid while the tokenizer lives.
  std::string_view TokenText(std::int32_t id) const;

  // The id of an added token, for example "<think>".
  std::optional<std::int32_t> AddedTokenId(std::string_view text) const;

  // Whether an added token is marked special: it carries no text for a reader.
  bool IsSpecial(std::int32_t id) const;

  std::int32_t vocab_size() const;  // highest id + 1
  std::optional<std::int32_t> bos_id() const;
  std::optional<std::int32_t> eos_id() const;

  struct Impl;

 private:
  explicit Tokenizer(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_ = {};
};

// Turns the ids of one sequence into text as they come. What Feed and Finish return is always valid
// UTF-8 that ends at the end of a character; joined, it is Decode(ids) with U+FFFD for every
// ill-formed stretch (one for each maximal prefix of a character, as Unicode recommends).
class StreamDecoder {
 public:
  struct Options {
    bool skip_special = true;
  };

  explicit StreamDecoder(Tokenizer tokenizer) : StreamDecoder(std::move(tokenizer), Options()) {}
  StreamDecoder(Tokenizer tokenizer, Options options);

  std::string Feed(std::int32_t id);
  std::string Finish();  // what was held back; the decoder is then ready for another sequence

 private:
  Tokenizer tokenizer_;
  Options options_ = {};
  std::string pending_ = {};  // the bytes of an unfinished character
};

}  // namespace birkhoff
