// The small row operations. All are bound by memory: each element is read and written once.
#include "kernels/args/elementwise.h"

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/swiglu_row.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

BK_INLINE void CopyRow(void* to, std::int64_t to_row, const void* from, std::int64_t from_row,
                       std::int64_t bytes) {
  std::memcpy(static_cast<char*>(to) + to_row * bytes,
              static_cast<const char*>(from) + from_row * bytes, static_cast<std::size_t>(bytes));
}

void AddRow(const AddArgs& a, std::int64_t row) {
  const std::int64_t addend = row / a.repeat * a.width;
  const std::int64_t base = row * a.width;
  ForRuns(a.width, [&](std::int64_t i, int n) {
    const F32x16 x = LoadRun(a.a, a.a_type, addend + i, n);
    const F32x16 y = LoadRun(a.b, a.b_type, base + i, n);
    StoreRun(a.out, a.out_type, base + i, cpu::BK_ISA::Add(x, y), n);
  });
}

}  // namespace

void Add(const AddArgs& a, const Exec& exec) {
  exec.pool->ParallelFor(a.rows * a.repeat, RowGrain(a.width),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t r = begin; r < end; ++r) AddRow(a, r);
                         });
}

void Broadcast(const BroadcastArgs& a, const Exec& exec) {
  const std::int64_t bytes = a.width * static_cast<std::int64_t>(SizeOf(a.type));
  exec.pool->ParallelFor(a.rows * a.copies, RowGrain(a.width),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t r = begin; r < end; ++r) {
                             CopyRow(a.out, r, a.x, r / a.copies, bytes);
                           }
                         });
}

void Concat(const ConcatArgs& a, const Exec& exec) {
  const auto element = static_cast<std::int64_t>(SizeOf(a.type));
  const auto a_bytes = static_cast<std::size_t>(a.a_width * element);
  const auto b_bytes = static_cast<std::size_t>(a.b_width * element);
  const std::int64_t width = a.a_width + a.b_width;
  exec.pool->ParallelFor(a.rows, RowGrain(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) {
      char* to = static_cast<char*>(a.out) + r * width * element;
      std::memcpy(to, static_cast<const char*>(a.a) + r * a.a_row * element, a_bytes);
      std::memcpy(to + a_bytes, static_cast<const char*>(a.b) + r * a.b_row * element, b_bytes);
    }
  });
}

void GatherRows(const GatherRowsArgs& a, const Exec& exec) {
  const std::int64_t bytes = a.width * static_cast<std::int64_t>(SizeOf(a.type));
  exec.pool->ParallelFor(a.rows, RowGrain(a.width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t r = begin; r < end; ++r) {
      CopyRow(a.out, r, a.x, a.index[r], bytes);
    }
  });
}

void Swiglu(const SwigluArgs& a, const Exec& exec) {
  // An exponential costs about as much as eight loads.
  exec.pool->ParallelFor(a.rows, RowGrain(8 * a.width),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t r = begin; r < end; ++r) SwigluRow(a, r);
                         });
}

}  // namespace birkhoff::cpu::BK_ISA
