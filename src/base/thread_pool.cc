#include "base/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "birkhoff/device.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace birkhoff {
namespace {

// How long a waiting thread spins before it sleeps. Waking a sleeper costs about 50 us, a decode
// step of a small model has a call every few microseconds.
constexpr std::chrono::microseconds kSpin{200};

inline void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Returns when done() holds, or false after kSpin.
template <class Done>
bool SpinUntil(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : size_(threads > 0 ? threads : HostDevice().cpus), shares_(static_cast<std::size_t>(size_)) {
  workers_.reserve(static_cast<std::size_t>(size_ - 1));
  try {
    for (int w = 1; w < size_; ++w) workers_.emplace_back([this, w] { Work(w); });
  } catch (const std::system_error&) {
    size_ = static_cast<int>(workers_.size()) + 1;  // those that started do all the work
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::ParallelFor(std::int64_t n, std::int64_t grain, Body body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  if (size_ == 1 || n <= grain) {
    for (std::int64_t b = 0; b < n; b += grain) body(b, std::min(n, b + grain), 0);
    return;
  }
  body_ = &body;
  grain_ = grain;
  std::int64_t begin = 0;
  for (int w = 0; w < size_; ++w) {
    Share& share = shares_[static_cast<std::size_t>(w)];
    share.next.store(begin, std::memory_order_relaxed);
    share.end = begin += (n - begin) / (size_ - w);
  }
  busy_.store(size_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  TakePieces(0);
  // Every worker passes through this call, also one that found nothing left: the fields above are
  // free only then.
  const auto done = [this] { return busy_.load(std::memory_order_acquire) == 0; };
  while (!SpinUntil(done)) std::this_thread::yield();
}

void ThreadPool::TakePieces(int worker) {
  for (int i = 0; i < size_; ++i) {
    Share& share = shares_[static_cast<std::size_t>((worker + i) % size_)];
    while (true) {
      const std::int64_t begin = share.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= share.end) break;
      (*body_)(begin, std::min(share.end, begin + grain_), worker);
    }
  }
}

void ThreadPool::Work(int worker) {
  std::uint32_t seen = 0;
  while (true) {
    const auto changed = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
    if (!SpinUntil(changed)) epoch_.wait(seen, std::memory_order_acquire);
    if (!changed()) continue;
    ++seen;
    if (stop_.load(std::memory_order_relaxed)) return;
    TakePieces(worker);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace birkhoff
