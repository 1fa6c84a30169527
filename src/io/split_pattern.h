// A regular expression that cuts text into pieces, as the "Split" step of a pre-tokenizer does.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "birkhoff/status.h"

struct pcre2_real_code_8;

namespace birkhoff::io {

class SplitPattern {
 public:
  // `regex` in the syntax of tokenizer.json (Oniguruma's, as far as PCRE2 shares it).
  static Result<SplitPattern> Compile(std::string_view regex);

  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;  // begin == end == text.size(): no more matches
  };

  // The first non-empty match at or after `from`. `text` must be valid UTF-8 and `from` the start
  // of a character. A match that takes more work than a bound linear in the text counts as none.
  // Safe to call from several threads.
  Match Next(std::string_view text, std::size_t from) const;

 private:
  explicit SplitPattern(std::shared_ptr<const pcre2_real_code_8> code) : code_(std::move(code)) {}

  std::shared_ptr<const pcre2_real_code_8> code_ = {};
};

}  // namespace birkhoff::io
