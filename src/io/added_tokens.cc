#include "io/added_tokens.h"

#include <algorithm>

namespace birkhoff::io {

AddedTokens::AddedTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const Token& a, const Token& b) { return a.text < b.text; });
  for (const Token& token : tokens_) starts_[static_cast<std::uint8_t>(token.text[0])] = true;
}

AddedTokens::Match AddedTokens::Next(std::string_view text, std::size_t from) const {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (!starts_[static_cast<std::uint8_t>(text[i])]) continue;
    if (const Token* token = LongestAt(text.substr(i))) return {i, token};
  }
  return {text.size(), nullptr};
}

const AddedTokens::Token* AddedTokens::Find(std::string_view text) const {
  const auto it =
      std::lower_bound(tokens_.begin(), tokens_.end(), text,
                       [](const Token& token, std::string_view t) { return token.text < t; });
  return it != tokens_.end() && it->text == text ? &*it : nullptr;
}

// Walks the sorted tokens as if they were a trie: [first, last) share their first `depth` bytes
// with `text`, and the shortest of them comes first.
const AddedTokens::Token* AddedTokens::LongestAt(std::string_view text) const {
  const Token* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  for (std::size_t depth = 0; first != last; ++depth) {
    if (first->text.size() == depth) longest = &*first++;
    if (depth == text.size()) break;
    const auto byte = static_cast<std::uint8_t>(text[depth]);
    const auto byte_of = [depth](const Token& t) {
      return static_cast<std::uint8_t>(t.text[depth]);
    };
    first = std::lower_bound(first, last, byte,
                             [&](const Token& t, std::uint8_t b) { return byte_of(t) < b; });
    last = std::upper_bound(first, last, byte,
                            [&](std::uint8_t b, const Token& t) { return b < byte_of(t); });
  }
  return longest;
}

}  // namespace birkhoff::io
