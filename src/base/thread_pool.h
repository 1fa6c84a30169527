// The threads that run kernels. One pool per engine; the calling thread is one of its workers.
//
// Goals: no allocation per call; never more running threads than the pool's size; workers spin
// briefly between calls (a decode step makes hundreds) and then sleep. Non-goals: nesting,
// priorities, futures.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace birkhoff {

class ThreadPool {
 public:
  // `threads` workers including the caller; 0 means every CPU this process may use.
  // Fewer when the system starts no more.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Calls body(begin, end, worker) for pieces of at most `grain` that cover [0, n), each once, and
  // returns when all are done. worker is in [0, size()) and unique among the calls that run at the
  // same time. Worker w begins at w / size() of the way, so that calls over the same rows find them
  // in their own caches, and helps the others when its share is done: which worker gets which piece
  // is not fixed, and a result must not depend on it. One caller at a time; a body must not call
  // ParallelFor. n <= grain runs on the calling thread at no cost.
  using Body = FunctionRef<void(std::int64_t begin, std::int64_t end, int worker)>;
  void ParallelFor(std::int64_t n, std::int64_t grain, Body body);

 private:
  struct alignas(64) Share {
    std::atomic<std::int64_t> next{0};  // first index nobody has taken
    std::int64_t end = 0;
  };

  void Work(int worker);
  void TakePieces(int worker);

  int size_ = 1;
  std::vector<std::thread> workers_ = {};
  std::vector<Share> shares_ = {};  // one per worker

  // The call in progress. Written by the caller before it advances `epoch_`.
  const Body* body_ = nullptr;
  std::int64_t grain_ = 1;

  alignas(64) std::atomic<std::uint32_t> epoch_{0};  // advanced once per call; workers wait on it
  alignas(64) std::atomic<int> busy_{0};             // workers that have not finished this call
  std::atomic<bool> stop_{false};
};

}  // namespace birkhoff
