#include "log.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace birkhoff::cli {

namespace {

LogLevel g_limit = LogLevel::kInfo;

std::string OneLine(std::string_view message) {
  std::string line;
  for (std::size_t i = 0; i < message.size(); ++i) {
    if (message[i] != '\n') {
      line += message[i];
      continue;
    }
    while (i + 1 < message.size() && (message[i + 1] == ' ' || message[i + 1] == '\n')) ++i;
    if (i + 1 < message.size()) line += line.empty() || line.back() == ':' ? " " : "; ";
  }
  return line;
}

std::string_view Prefix(LogLevel level) {
  switch (level) {
    case LogLevel::kError: return "birkhoff: error: ";
    case LogLevel::kWarn: return "birkhoff: warning: ";
    case LogLevel::kInfo: return "";
    case LogLevel::kDebug: return "birkhoff: debug: ";
  }
  return "";
}

}  // namespace

void SetLogLimit(LogLevel limit) { g_limit = limit; }

void Log(LogLevel level, std::string_view message) {
  if (level > g_limit) return;
  fmt::print(stderr, "{}{}\n", Prefix(level), OneLine(message));
}

}  // namespace birkhoff::cli
