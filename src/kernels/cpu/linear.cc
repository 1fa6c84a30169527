// Linear: pieces of up to kPanel outputs of a group for up to kMaxRows rows of x, each by Multiply.
#include "kernels/args/linear.h"

#include "base/thread_pool.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

std::int64_t CeilDiv(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t Least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Scratch of one worker: that of Multiply, then y [rows, kPanel].
struct Layout {
  std::int64_t rows = 0;
  std::int64_t multiply = 0;

  explicit Layout(const LinearArgs& a)
      : rows(Least(a.rows, kMaxRows)),
        multiply(static_cast<std::int64_t>(MultiplyScratch(rows, a.k()))) {}
  std::int64_t bytes() const { return multiply + CeilDiv(rows * kPanel * 4, 64) * 64; }
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
  const Layout layout(a);
  const std::int64_t chunks = CeilDiv(a.rows, layout.rows);  // of rows of x
  const std::int64_t piece_rows = PieceRows(a.n(), a.groups * chunks, exec.pool->size());
  const std::int64_t pieces = CeilDiv(a.n(), piece_rows);  // of a group
  const std::int64_t element = a.x_type == DType::kBF16 ? 2 : 4;

  const auto piece = [&](std::int64_t index, char* scratch) {
    const std::int64_t n0 = index % pieces * piece_rows;
    const std::int64_t group = index / pieces % a.groups;
    const std::int64_t m0 = index / pieces / a.groups * layout.rows;
    const std::int64_t n = Least(piece_rows, a.n() - n0);
    Rows x;
    x.data = static_cast<const char*>(a.x) + (m0 * a.groups + group) * a.k() * element;
    x.stride = a.groups * a.k();
    x.count = Least(layout.rows, a.rows - m0);
    x.is_bf16 = a.x_type == DType::kBF16;
    auto* y = reinterpret_cast<float*>(scratch + layout.multiply);
    Multiply(x, a.w, group * a.n() + n0, n, y, scratch);
    for (std::int64_t i = 0; i < x.count; ++i)
      StoreRow(a, ((m0 + i) * a.groups + group) * a.n() + n0, y + i * kPanel, n);
  };

  // About 4 us of work: less costs more to hand over than to do.
  const std::int64_t grain = 1 + 65536 / (piece_rows * a.k() * layout.rows);
  exec.pool->ParallelFor(
      pieces * a.groups * chunks, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
        char* scratch = static_cast<char*>(exec.scratch) + worker * layout.bytes();
        for (std::int64_t p = begin; p < end; ++p) piece(p, scratch);
      });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t LinearScratch(const LinearArgs& a, int threads) {
  return static_cast<std::size_t>(BK_ISA::Layout(a).bytes()) * static_cast<std::size_t>(threads);
}
#endif

}  // namespace birkhoff::cpu
