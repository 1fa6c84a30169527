// Keeps exceptions of the libraries inside.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <type_traits>

#include "birkhoff/status.h"

namespace birkhoff::runtime {

// What `call` returns, a Status or a Result. An exception becomes kOutOfRange with its text: memory
// and threads are all that the standard library can lack here.
template <class Call>
std::invoke_result_t<Call> NoThrow(Call&& call) {
  try {
    return call();
  } catch (const std::exception& e) {
    return Status::OutOfRange(fmt::format("the system refused memory or threads: {}", e.what()));
  }
}

}  // namespace birkhoff::runtime
