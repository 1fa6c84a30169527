// Any bytes as text for a small tokenizer, and as the tokenizer.json of another.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "birkhoff/tokenizer.h"
#include "check.h"
#include "io/small_tokenizer.h"
#include "io/utf8.h"

namespace birkhoff {
namespace {

void CheckText(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.Encode(text, {.parse_special = parse_special});
    BK_FUZZ_CHECK(tokenizer.Decode(ids) == text);
    StreamDecoder decoder(tokenizer, {.skip_special = false});
    std::string streamed;
    for (const std::int32_t id : ids) {
      BK_FUZZ_CHECK(parse_special || !tokenizer.IsSpecial(id));
      const std::string piece = decoder.Feed(id);
      BK_FUZZ_CHECK(io::ValidUtf8Prefix(piece) == piece.size());
      streamed += piece;
    }
    streamed += decoder.Finish();
    std::string bytes(text);
    std::string clean;
    io::DrainUtf8(&bytes, /*at_end=*/true, &clean);
    BK_FUZZ_CHECK(streamed == clean);
  }
}

}  // namespace
}  // namespace birkhoff

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using birkhoff::Tokenizer;
  static const Tokenizer small = *Tokenizer::FromJson(birkhoff::SmallTokenizer().dump());
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  birkhoff::CheckText(small, text);
  const auto other = Tokenizer::FromJson(text);
  if (other.ok()) birkhoff::CheckText(*other, "aab 1234 <s>x\n\xff");
  return 0;
}
