// FirstGpu() where no GPU backend is built in.
#include "birkhoff/device.h"

namespace birkhoff {

const GpuLookup& FirstGpu() {
  static const GpuLookup lookup = {nullptr, "built without CUDA"};
  return lookup;
}

}  // namespace birkhoff
