// A progress bar on stderr, when stderr is a terminal; otherwise nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "birkhoff/engine.h"

namespace birkhoff::cli {

// "loading weights  [#######.............]  37 %". Appears only when the work has taken a quarter
// of a second, is redrawn ten times a second at most, and is wiped when it is done or destroyed.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(std::string_view what, std::int64_t done, std::int64_t total);
  void Clear();

  // For Engine; the bar must outlive its use.
  Progress Callback();

 private:
  using Clock = std::chrono::steady_clock;

  bool on_ = false;
  bool drawn_ = false;
  std::string what_ = {};
  Clock::time_point started_ = {};
  Clock::time_point redraw_ = {};
};

}  // namespace birkhoff::cli
