#include "interrupt.h"

#include <csignal>

namespace birkhoff::cli {

namespace {

volatile std::sig_atomic_t g_interrupted = 0;

void OnInterrupt(int) { g_interrupted = 1; }

void Install(void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

InterruptScope::InterruptScope() {
  g_interrupted = 0;
  Install(OnInterrupt, SA_RESTART | static_cast<int>(SA_RESETHAND));
}

InterruptScope::~InterruptScope() { Install(SIG_DFL, 0); }

bool InterruptScope::interrupted() const { return g_interrupted != 0; }

}  // namespace birkhoff::cli
