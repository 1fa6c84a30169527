#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace birkhoff::cli {

namespace {

constexpr int kWidth = 30;
constexpr auto kPatience = std::chrono::milliseconds(250);
constexpr auto kInterval = std::chrono::milliseconds(100);

}  // namespace

ProgressBar::ProgressBar() : on_(isatty(STDERR_FILENO) == 1) {}

void ProgressBar::Update(std::string_view what, std::int64_t done, std::int64_t total) {
  if (!on_) return;
  const Clock::time_point now = Clock::now();
  if (what != what_) {
    Clear();
    what_ = what;
    started_ = now;
    redraw_ = now + kPatience;
  }
  if (done >= total) return Clear();
  if (now < redraw_) return;
  redraw_ = now + kInterval;
  drawn_ = true;
  const double part = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const int full = static_cast<int>(part * kWidth);
  fmt::print(stderr, "\r{}  [{:#<{}}{:.<{}}] {:3.0f} %\x1b[K", what, "", full, "", kWidth - full,
             part * 100);
  std::fflush(stderr);
}

void ProgressBar::Clear() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
  what_.clear();
}

Progress ProgressBar::Callback() {
  if (!on_) return {};
  return [this](std::string_view what, std::int64_t done, std::int64_t total) {
    Update(what, done, total);
  };
}

}  // namespace birkhoff::cli
