// Measured figures of other systems, built in from bench/peers/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace birkhoff::harness {

struct Peer {
  std::string name = {};  // "trtllm"
  double us = 0;
};

// The fastest of the systems measured for an op on this device with these extents, or nothing.
std::optional<Peer> BestPeer(std::string_view op, std::string_view device,
                             const std::vector<std::pair<std::string, std::int64_t>>& dims);

}  // namespace birkhoff::harness
