// Ctrl-C that ends a generation and not the program.
#pragma once

namespace birkhoff::cli {

// While one lives, the first SIGINT only sets a flag; the second has its usual effect.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool interrupted() const;
};

}  // namespace birkhoff::cli
