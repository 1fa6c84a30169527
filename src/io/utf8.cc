#include "io/utf8.h"

#include <cstdint>

namespace birkhoff::io {
namespace {

// What a lead byte promises: the length and the range of the second byte, which is narrower than
// 80..BF where that keeps out overlong forms, surrogates and values above 10FFFF.
struct Lead {
  std::size_t size = 0;  // 0: no character starts so
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
};

Lead ReadLead(std::uint8_t byte) {
  if (byte < 0x80) return {.size = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.size = 2};
  if (byte == 0xE0) return {.size = 3, .low = 0xA0};
  if (byte == 0xED) return {.size = 3, .high = 0x9F};
  if (byte < 0xF0) return {.size = 3};
  if (byte == 0xF0) return {.size = 4, .low = 0x90};
  if (byte == 0xF4) return {.size = 4, .high = 0x8F};
  if (byte < 0xF4) return {.size = 4};
  return {};
}

}  // namespace

Utf8Unit NextUtf8(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  if (first < 0x80) return {Utf8Kind::kValid, 1, first};
  const Lead lead = ReadLead(first);
  if (lead.size == 0) return {Utf8Kind::kInvalid, 1};
  char32_t character = first & (0xFF >> (lead.size + 1));
  for (std::size_t i = 1; i < lead.size; ++i) {
    if (i == text.size()) return {Utf8Kind::kTruncated, i};
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!fits) return {Utf8Kind::kInvalid, i};
    character = character << 6 | (byte & 0x3F);
  }
  return {Utf8Kind::kValid, lead.size, character};
}

std::size_t ValidUtf8Prefix(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size()) {
    const Utf8Unit unit = NextUtf8(text.substr(size));
    if (unit.kind != Utf8Kind::kValid) break;
    size += unit.size;
  }
  return size;
}

void AppendUtf8(char32_t character, std::string* out) {
  const auto put = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (character < 0x80) return put(character);
  if (character < 0x800) {
    put(0xC0 | character >> 6);
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    put(0x80 | (character >> 6 & 0x3F));
  } else {
    put(0xF0 | character >> 18);
    put(0x80 | (character >> 12 & 0x3F));
    put(0x80 | (character >> 6 & 0x3F));
  }
  put(0x80 | (character & 0x3F));
}

void DrainUtf8(std::string* pending, bool at_end, std::string* out) {
  std::string_view rest = *pending;
  while (!rest.empty()) {
    const std::size_t valid = ValidUtf8Prefix(rest);
    out->append(rest.substr(0, valid));
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const Utf8Unit unit = NextUtf8(rest);
    if (unit.kind == Utf8Kind::kTruncated && !at_end) break;
    out->append("\uFFFD");
    rest.remove_prefix(unit.size);
  }
  pending->erase(0, pending->size() - rest.size());
}

}  // namespace birkhoff::io
