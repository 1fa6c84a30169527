// What a kernel runs with besides its arguments.
#pragma once

#include <cstddef>

namespace birkhoff {

class ThreadPool;

struct Exec {
  ThreadPool* pool = nullptr;  // never null when a CPU kernel runs
  void* scratch = nullptr;     // as many bytes as the kernel's query asked for, 64-byte aligned,
                               // contents arbitrary
  void* state = nullptr;   // what the kernel's prepare() left, where it has one; 256-byte aligned
  void* stream = nullptr;  // GPU kernels: where to enqueue; null is the default stream
};

}  // namespace birkhoff
