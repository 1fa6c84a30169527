#include "birkhoff/tokenizer.h"

#include <utility>

#include "io/tokenizer_impl.h"
#include "io/utf8.h"

namespace birkhoff {

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

// "Isolated": both the matches of a pattern and the gaps between them go on to the next one. The
// depth of the recursion is the number of patterns.
void Tokenizer::Impl::EncodePiece(std::string_view piece, std::size_t split,
                                  std::vector<std::int32_t>* ids) const {
  if (split == splits.size()) return bpe.Encode(piece, ids);
  for (std::size_t from = 0; from < piece.size();) {
    const io::SplitPattern::Match match = splits[split].Next(piece, from);
    if (match.begin > from) EncodePiece(piece.substr(from, match.begin - from), split + 1, ids);
    if (match.end > match.begin) {
      EncodePiece(piece.substr(match.begin, match.end - match.begin), split + 1, ids);
    }
    from = match.end;
  }
}

// The patterns know UTF-8 only: a run of bytes that is none is a piece of its own.
void Tokenizer::Impl::EncodePlain(std::string_view text, std::vector<std::int32_t>* ids) const {
  while (!text.empty()) {
    const std::size_t valid = io::ValidUtf8Prefix(text);
    EncodePiece(text.substr(0, valid), 0, ids);
    text.remove_prefix(valid);
    std::size_t invalid = 0;
    while (invalid < text.size()) {
      const io::Utf8Unit unit = io::NextUtf8(text.substr(invalid));
      if (unit.kind == io::Utf8Kind::kValid) break;
      invalid += unit.size;
    }
    bpe.Encode(text.substr(0, invalid), ids);
    text.remove_prefix(invalid);
  }
}

std::vector<std::int32_t> Tokenizer::Encode(std::string_view text, EncodeOptions options) const {
  const TextPart part = {.text = std::string(text), .markup = options.parse_special};
  return Encode(std::span(&part, 1));
}

std::vector<std::int32_t> Tokenizer::Encode(std::span<const TextPart> parts) const {
  std::vector<std::int32_t> ids;
  std::string plain;  // since the last added token
  for (const TextPart& part : parts) {
    std::size_t from = 0;
    while (part.markup) {
      const io::AddedTokens::Match match = impl_->added.Next(part.text, from);
      if (match.token == nullptr) break;
      plain.append(part.text, from, match.begin - from);
      impl_->EncodePlain(plain, &ids);
      plain.clear();
      ids.push_back(match.token->id);
      from = match.begin + match.token->text.size();
    }
    plain.append(part.text, from);
  }
  impl_->EncodePlain(plain, &ids);
  return ids;
}

std::string Tokenizer::Decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (!(skip_special && IsSpecial(id))) text += TokenText(id);
  }
  return text;
}

std::string_view Tokenizer::TokenText(std::int32_t id) const {
  const Impl::Token* token = impl_->Find(id);
  return token != nullptr ? std::string_view(token->text) : std::string_view();
}

std::optional<std::int32_t> Tokenizer::AddedTokenId(std::string_view text) const {
  const io::AddedTokens::Token* token = impl_->added.Find(text);
  return token != nullptr ? std::optional(token->id) : std::nullopt;
}

bool Tokenizer::IsSpecial(std::int32_t id) const {
  const Impl::Token* token = impl_->Find(id);
  return token != nullptr && token->special;
}

std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(impl_->tokens.size());
}

std::optional<std::int32_t> Tokenizer::bos_id() const { return impl_->bos; }

std::optional<std::int32_t> Tokenizer::eos_id() const { return impl_->eos; }

StreamDecoder::StreamDecoder(Tokenizer tokenizer, Options options)
    : tokenizer_(std::move(tokenizer)), options_(options) {}

std::string StreamDecoder::Feed(std::int32_t id) {
  std::string text;
  if (options_.skip_special && tokenizer_.IsSpecial(id)) return text;
  pending_ += tokenizer_.TokenText(id);
  io::DrainUtf8(&pending_, /*at_end=*/false, &text);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text;
  io::DrainUtf8(&pending_, /*at_end=*/true, &text);
  return text;
}

}  // namespace birkhoff
