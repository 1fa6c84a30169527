// Finds added tokens in text: leftmost first, the longest where several start.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace birkhoff::io {

class AddedTokens {
 public:
  struct Token {
    std::string text = {};
    std::int32_t id = 0;
  };

  AddedTokens() = default;
  explicit AddedTokens(std::vector<Token> tokens);  // texts not empty, no two alike

  struct Match {
    std::size_t begin = 0;
    const Token* token = nullptr;  // null: none, begin == text.size()
  };

  // The first added token at or after `from`.
  Match Next(std::string_view text, std::size_t from) const;

  // The token with just this text, or null.
  const Token* Find(std::string_view text) const;

 private:
  const Token* LongestAt(std::string_view text) const;

  std::vector<Token> tokens_ = {};     // sorted by text
  std::array<bool, 256> starts_ = {};  // first bytes
};

}  // namespace birkhoff::io
