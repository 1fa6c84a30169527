#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/split_pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

namespace birkhoff::io {
namespace {

// What one thread needs for matching, shared by all patterns: a match is read before the next
// begins.
class Matcher {
 public:
  static Matcher& OfThisThread() {
    thread_local Matcher matcher;
    return matcher;
  }

  ~Matcher() {
    pcre2_jit_stack_free(jit_stack_);
    pcre2_match_context_free(context_);
    pcre2_match_data_free(data_);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  // The offsets of the match, or null.
  const std::size_t* Run(const pcre2_code* code, std::string_view text, std::size_t from) {
    if (data_ == nullptr || context_ == nullptr) return nullptr;
    // Giving back a run of blanks one by one takes a step each; anything beyond that is a pattern
    // that would never end.
    const std::size_t steps = 10'000'000 + 16 * text.size();
    const auto run = [&](std::uint32_t options, std::size_t most_steps, std::uint32_t heap_kib) {
      pcre2_set_match_limit(context_, static_cast<std::uint32_t>(std::min<std::size_t>(
                                          most_steps, std::numeric_limits<std::uint32_t>::max())));
      pcre2_set_heap_limit(context_, heap_kib);
      return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         options | PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data_, context_);
    };
    int rc = run(0, steps, 256 << 10);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) rc = run(PCRE2_NO_JIT, 2 * steps, 1 << 20);
    // 0 means a match with more groups than `data_` has room for.
    return rc >= 0 ? pcre2_get_ovector_pointer(data_) : nullptr;
  }

 private:
  Matcher() {
    if (context_ != nullptr) pcre2_jit_stack_assign(context_, nullptr, jit_stack_);
  }

  pcre2_match_data* data_ = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context_ = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* jit_stack_ = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);
};

// PCRE2 counts U+180E as blank, which neither Unicode nor Oniguruma does.
std::string UnicodeBlanks(std::string_view regex) {
  std::string out;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    if (regex[i] != '\\' || i + 1 == regex.size()) {
      out += regex[i];
      continue;
    }
    const char escaped = regex[++i];
    if (escaped == 's') {
      out += "\\p{White_Space}";
    } else if (escaped == 'S') {
      out += "\\P{White_Space}";
    } else {
      out += {'\\', escaped};
    }
  }
  return out;
}

}  // namespace

Result<SplitPattern> SplitPattern::Compile(std::string_view regex) {
  const std::string pattern = UnicodeBlanks(regex);
  int error = 0;
  std::size_t offset = 0;
  // \C would match half a character.
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr) {
    char reason[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(reason), sizeof(reason));
    return Status::InvalidArgument(
        fmt::format("cannot read the regular expression \"{}\": {}", regex, reason));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it the interpreter runs: same matches
  return SplitPattern(std::shared_ptr<const pcre2_code>(
      code, [](const pcre2_code* c) { pcre2_code_free(const_cast<pcre2_code*>(c)); }));
}

SplitPattern::Match SplitPattern::Next(std::string_view text, std::size_t from) const {
  const std::size_t* span = Matcher::OfThisThread().Run(code_.get(), text, from);
  // \K can move the start of a match; only what moves on is a piece.
  if (span == nullptr || span[0] < from || span[1] <= span[0]) return {text.size(), text.size()};
  return {span[0], span[1]};
}

}  // namespace birkhoff::io
