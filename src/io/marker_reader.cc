#include "io/marker_reader.h"

namespace birkhoff::io {

void MarkerReader::Append(std::string_view text) {
  text_.erase(0, position_);
  position_ = 0;
  text_ += text;
}

std::optional<std::size_t> MarkerReader::ReadUntil(std::initializer_list<std::string_view> markers,
                                                   std::string* before) {
  const std::string_view text = rest();
  std::size_t end = 0;
  std::optional<std::size_t> found;
  std::size_t marker_size = 0;
  for (bool stop = false; end < text.size(); ++end) {
    const std::string_view here = text.substr(end);
    std::size_t number = 0;
    for (const std::string_view marker : markers) {
      if (here.starts_with(marker)) {
        found = number;
        marker_size = marker.size();
      }
      stop = found || (!ended_ && marker.starts_with(here));
      if (stop) break;
      ++number;
    }
    if (stop) break;
  }
  before->append(text.substr(0, end));
  position_ += end + marker_size;
  return found;
}

}  // namespace birkhoff::io
