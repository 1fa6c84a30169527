// What a Tokenizer is made of. tokenizer_json.cc fills it, tokenizer.cc uses it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "birkhoff/tokenizer.h"
#include "io/added_tokens.h"
#include "io/bpe.h"
#include "io/split_pattern.h"

namespace birkhoff {

struct Tokenizer::Impl {
  struct Token {
    std::string text = {};  // bytes; empty where no token has this id
    bool special = false;
  };

  std::vector<Token> tokens = {};  // by id
  io::AddedTokens added = {};
  std::vector<io::SplitPattern> splits = {};
  io::Bpe bpe = {};
  std::optional<std::int32_t> bos = {};
  std::optional<std::int32_t> eos = {};

  const Token* Find(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < tokens.size() ? &tokens[id] : nullptr;
  }

  // Appends the ids of text without added tokens.
  void EncodePlain(std::string_view text, std::vector<std::int32_t>* ids) const;

  // The same for valid UTF-8 that has gone through the splits before number `split`.
  void EncodePiece(std::string_view piece, std::size_t split, std::vector<std::int32_t>* ids) const;
};

}  // namespace birkhoff
