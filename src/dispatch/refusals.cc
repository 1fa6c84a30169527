#include "dispatch/kernel.h"

namespace birkhoff {

Refusal NeedsIsa(CpuIsa needed, const Device& device) {
  if (device.isa >= needed) return {};
  return Refusal("needs " + std::string(Name(needed)) + ", device is " +
                 std::string(Name(device.isa)));
}

}  // namespace birkhoff
