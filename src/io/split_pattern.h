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
  // of a character. Safe to call from several threads.
  //
  // Work and memory of a match are bounded, linearly in the text. What exceeds the bounds in the
  // compiled code of PCRE2 is tried again in its interpreter with wider ones; what fails there too
  // counts as no more matches: the rest of the text is one piece and no byte is lost. Which pieces
  // come out depends on pattern and text alone, short of the machine running out of memory.
  Match Next(std::string_view text, std::size_t from) const;

 private:
  explicit SplitPattern(std::shared_ptr<const pcre2_real_code_8> code) : code_(std::move(code)) {}

  std::shared_ptr<const pcre2_real_code_8> code_ = {};
};

}  // namespace birkhoff::io
