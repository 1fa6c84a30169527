// Why something cannot or should not be done. Empty means: nothing against it.
#pragma once

#include <string>
#include <utility>

namespace birkhoff {

// Used by kernel rows, fusion guards and the tuner. The text names what is needed and what was
// found: "needs avx512, device is avx2".
class Refusal {
 public:
  Refusal() = default;
  explicit Refusal(std::string why) : why_(std::move(why)) {}

  explicit operator bool() const { return !why_.empty(); }
  const std::string& why() const { return why_; }

 private:
  std::string why_ = {};
};

}  // namespace birkhoff
