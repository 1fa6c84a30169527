// From a number of streams to a constant.
#pragma once

#include <cstdint>

namespace birkhoff::cuda {

// Calls f.template operator()<hc>() for hc = 2, 4 or 8.
template <class F>
void WithStreams(std::int64_t hc, F f) {
  if (hc == 2) {
    f.template operator()<2>();
  } else if (hc == 4) {
    f.template operator()<4>();
  } else {
    f.template operator()<8>();
  }
}

}  // namespace birkhoff::cuda
