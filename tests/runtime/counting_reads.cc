// Definitions in the program come before those of the C library, which are found again by name.
#include "tests/runtime/counting_reads.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace {

std::atomic<std::int64_t> reads{0};

template <class Function>
Function* Next(const char* name) {
  reads.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

namespace birkhoff {
std::int64_t OutsideReadCount() { return reads.load(std::memory_order_relaxed); }
}  // namespace birkhoff

extern "C" {

char* getenv(const char* name) noexcept { return Next<char*(const char*)>("getenv")(name); }
char* secure_getenv(const char* name) noexcept {
  return Next<char*(const char*)>("secure_getenv")(name);
}

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const unsigned mode = va_arg(more, unsigned);
  va_end(more);
  return Next<int(const char*, int, unsigned)>("open")(path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const unsigned mode = va_arg(more, unsigned);
  va_end(more);
  return Next<int(int, const char*, int, unsigned)>("openat")(folder, path, flags, mode);
}

FILE* fopen(const char* path, const char* mode) {
  return Next<FILE*(const char*, const char*)>("fopen")(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  return Next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

}  // extern "C"
