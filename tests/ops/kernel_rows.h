// Runs the rows of an op's kernel table.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "birkhoff/device.h"
#include "dispatch/kernel.h"

namespace birkhoff::ops {

// Runs one row with scratch that holds NaNs.
template <class Args>
void RunRow(const Kernel<Args>& row, const Args& args, ThreadPool& pool) {
  const std::size_t bytes = row.scratch != nullptr ? row.scratch(args, pool.size()) : 0;
  constexpr std::align_val_t kAlign{64};
  const std::unique_ptr<void, void (*)(void*)> scratch(
      ::operator new(bytes + 1, kAlign), [](void* p) { ::operator delete(p, kAlign); });
  std::memset(scratch.get(), 0xff, bytes);
  row.run(args, {&pool, scratch.get()});
}

// "cpu/avx2" of "cpu/avx2/mhc_post".
inline std::string_view Folder(std::string_view kernel) {
  return kernel.substr(0, kernel.rfind('/'));
}

// The row of a table whose kernel lies in a folder.
template <class Args>
const Kernel<Args>& RowIn(std::string_view folder, std::span<const Kernel<Args>> table) {
  for (const Kernel<Args>& row : table) {
    if (Folder(row.name) == folder) return row;
  }
  ADD_FAILURE() << "no kernel in " << folder;
  return table.back();
}

// Calls f(row) for every row that this machine can run.
template <class Args, class F>
void ForEachRow(std::span<const Kernel<Args>> table, const Args& args, F f) {
  for (const Kernel<Args>& row : table) {
    if (WhyNot(row, args, HostDevice())) continue;
    SCOPED_TRACE(std::string(row.name));
    f(row);
  }
}

// Runs every row that this machine can run on one thread and lets f look at what it wrote.
template <class Args, class F>
void RunEveryRow(std::span<const Kernel<Args>> table, const Args& args, F f) {
  ThreadPool pool(1);
  ForEachRow(table, args, [&](const Kernel<Args>& row) {
    RunRow(row, args, pool);
    f();
  });
}

}  // namespace birkhoff::ops
