// Linear: pieces of some outputs of a group for some rows of x, each by Multiply.
#include "kernels/args/linear.h"

#include "base/thread_pool.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

// Widening a panel takes as long as 14 rows of x: 9 % of the time at 132 rows on a Xeon (AVX-512).
constexpr std::int64_t kLeastRows = 192;

// What the threads share, and the scratch of one of them: that of Multiply, then y [rows,
// kMaxOutputs].
struct Layout {
  Work work = {};
  std::int64_t multiply = 0;
  std::int64_t y = 0;

  Layout(const LinearArgs& a, int threads) {
    work.outputs = a.n();
    work.width = a.k();
    work.rows = Least(a.rows, kMaxRows);
    if (work.rows == 0) return;
    // Scratch for undivided rows, so that what the largest step needs serves every smaller one, and
    // any number of threads.
    multiply = static_cast<std::int64_t>(MultiplyScratch(work));
    y = work.rows * kMaxOutputs * 4;
    // Panels of full width are fastest: where they are too few for the threads, rows are divided.
    const std::int64_t panels = CeilDiv(a.n(), kPanel) * a.groups;
    while (work.rows >= 2 * kLeastRows && CeilDiv(a.rows, work.rows) * panels < 4 * threads)
      work.rows = RoundUp(work.rows / 2, 12);
    work.times = a.groups * CeilDiv(a.rows, work.rows);
  }
  std::int64_t bytes() const { return multiply + y; }
};

void StoreRow(const LinearArgs& a, std::int64_t at, const float* y, std::int64_t n) {
  const bool bf16_out = a.out_type == DType::kBF16;
  std::int64_t j = 0;
  for (; j + 16 <= n; j += 16) StoreAs(a.out, bf16_out, at + j, Load(y + j));
  if (j < n)
    StoreAsN(a.out, bf16_out, at + j, LoadN(y + j, static_cast<int>(n - j)),
             static_cast<int>(n - j));
}

}  // namespace

void Linear(const LinearArgs& a, const Exec& exec) {
  if (a.rows == 0) return;
  const Layout layout(a, exec.pool->size());
  const std::int64_t outputs = PieceOutputs(layout.work, exec.pool->size());
  const std::int64_t pieces = CeilDiv(a.n(), outputs);  // of a group
  const std::int64_t element = a.x_type == DType::kBF16 ? 2 : 4;

  const auto piece = [&](std::int64_t index, char* scratch) {
    const std::int64_t n0 = index % pieces * outputs;
    const std::int64_t group = index / pieces % a.groups;
    const std::int64_t m0 = index / pieces / a.groups * layout.work.rows;
    const std::int64_t n = Least(outputs, a.n() - n0);
    Rows x;
    x.data = static_cast<const char*>(a.x) + (m0 * a.groups + group) * a.k() * element;
    x.stride = a.groups * a.k();
    x.count = Least(layout.work.rows, a.rows - m0);
    x.is_bf16 = a.x_type == DType::kBF16;
    auto* y = reinterpret_cast<float*>(scratch + layout.multiply);
    const Outputs want = {&a.w, group * a.n() + n0, n, y};
    Multiply(x, &want, 1, scratch);
    for (std::int64_t i = 0; i < x.count; ++i)
      StoreRow(a, ((m0 + i) * a.groups + group) * a.n() + n0, y + i * kMaxOutputs, n);
  };

  // About 4 us of work: less costs more to hand over than to do.
  const std::int64_t grain = 1 + 65536 / (outputs * a.k() * layout.work.rows);
  exec.pool->ParallelFor(
      pieces * layout.work.times, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
        char* scratch = static_cast<char*>(exec.scratch) + worker * layout.bytes();
        for (std::int64_t p = begin; p < end; ++p) piece(p, scratch);
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t LinearScratch(const LinearArgs& a, int threads) {
  return static_cast<std::size_t>(BK_ISA::Layout(a, threads).bytes()) *
         static_cast<std::size_t>(threads);
}
#endif

}  // namespace birkhoff::cpu
