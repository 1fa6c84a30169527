// UTF-8, read one character at a time, and text cleaned of what is not UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace birkhoff::io {

enum class Utf8Kind {
  kValid,      // one character
  kInvalid,    // ill-formed: the longest start of a character that cannot go on, at least one byte
  kTruncated,  // the text ends within a character that is well-formed so far
};

struct Utf8Unit {
  Utf8Kind kind = Utf8Kind::kInvalid;
  std::size_t size = 0;    // bytes
  char32_t character = 0;  // for kValid
};

// The unit at the start of `text`, which is not empty.
Utf8Unit NextUtf8(std::string_view text);

// The length of the longest start of `text` that is valid UTF-8.
std::size_t ValidUtf8Prefix(std::string_view text);

void AppendUtf8(char32_t character, std::string* out);

// Moves the whole characters at the start of `pending` to `out`, with U+FFFD for every ill-formed
// unit. A truncated character at the end stays in `pending`; with `at_end` it counts as ill-formed.
void DrainUtf8(std::string* pending, bool at_end, std::string* out);

}  // namespace birkhoff::io
