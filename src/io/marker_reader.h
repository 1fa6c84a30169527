// Text that arrives in pieces, read up to the next of several markers wherever the cuts fall.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace birkhoff::io {

class MarkerReader {
 public:
  void Append(std::string_view text);
  void End() { ended_ = true; }  // nothing will be appended any more

  // Moves the text before the first of `markers` to the end of `before`, takes the marker out and
  // returns its number. Without a marker all text is moved, except for a start of one at the end
  // that more text could complete. No marker may be the start of another. Linear in the text moved.
  std::optional<std::size_t> ReadUntil(std::initializer_list<std::string_view> markers,
                                       std::string* before);

  void PutBack(std::string_view marker) { position_ -= marker.size(); }  // the last one read

  std::string_view rest() const { return std::string_view(text_).substr(position_); }
  bool ended() const { return ended_; }

 private:
  std::string text_ = {};
  std::size_t position_ = 0;
  bool ended_ = false;
};

}  // namespace birkhoff::io
