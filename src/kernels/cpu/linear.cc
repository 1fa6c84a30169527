// Linear: pieces of some outputs of a group for some rows of x, each by Multiply. Rows of x in FP8
// are widened to f32 before, at most kMaxRows at a time.
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

// For x in bf16 or f32.
void LinearOfFloats(const LinearArgs& a, const Exec& exec) {
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
    x.data = static_cast<const char*>(a.x) + (m0 * a.x_stride() + group * a.k()) * element;
    x.stride = a.x_stride();
    x.count = Least(layout.work.rows, a.rows - m0);
    x.is_bf16 = a.x_type == DType::kBF16;
    auto* y = reinterpret_cast<float*>(scratch + layout.multiply);
    const Outputs want = {&a.w, group * a.n() + n0, n, y};
    Multiply(x, &want, 1, scratch);
    for (std::int64_t i = 0; i < x.count; ++i)
      StoreRow(a, (m0 + i) * a.out_stride() + group * a.n() + n0, y + i * kMaxOutputs, n);
  };

  // About 4 us of work: less costs more to hand over than to do.
  const std::int64_t grain = 1 + 65536 / (outputs * a.k() * layout.work.rows);
  exec.pool->ParallelFor(
      pieces * layout.work.times, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
        char* scratch = static_cast<char*>(exec.scratch) + worker * layout.bytes();
        for (std::int64_t p = begin; p < end; ++p) piece(p, scratch);
      });
}

// What the 256 codes of E4M3 mean.
struct E4m3Table {
  float value[256] = {};
  constexpr E4m3Table() {
    for (int b = 0; b < 256; ++b) {
      const int exponent = b >> 3 & 15;
      float v = static_cast<float>(exponent == 0 ? b & 7 : 8 + (b & 7)) * 0x1p-9f;
      for (int i = 1; i < exponent; ++i) v *= 2;
      if ((b & 0x7f) == 0x7f) v = __builtin_nanf("");
      value[b] = b < 128 ? v : -v;
    }
  }
};
constexpr E4m3Table kE4m3;

// Row m of an x in FP8 as f32.
void WidenFp8Row(const LinearArgs& a, std::int64_t m, float* out) {
  const auto* code = static_cast<const std::uint8_t*>(a.x) + m * a.x_stride();
  const float* scale = a.x_scale + m * a.x_scales();
  const std::int64_t width = a.groups * a.k();
  for (std::int64_t begin = 0; begin < width; begin += a.x_group, ++scale) {
    const std::int64_t end = Least(begin + a.x_group, width);
    for (std::int64_t c = begin; c < end; ++c) out[c] = kE4m3.value[code[c]] * *scale;
  }
}

// Up to kMaxRows rows of x in FP8 as packed f32 rows.
LinearArgs Widened(const LinearArgs& a, float* x) {
  LinearArgs w = a;
  w.x = x;
  w.x_type = DType::kF32;
  w.x_row = 0;
  w.rows = Least(a.rows, kMaxRows);
  return w;
}

std::int64_t WidenedBytes(const LinearArgs& a) {
  return RoundUp(Least(a.rows, kMaxRows) * a.groups * a.k() * 4, 64);
}

void LinearOfFp8(const LinearArgs& a, const Exec& exec) {
  auto* x = static_cast<float*>(exec.scratch);
  Exec rest = exec;
  rest.scratch = static_cast<char*>(exec.scratch) + WidenedBytes(a);
  LinearArgs part = Widened(a, x);
  const std::int64_t width = a.groups * a.k();
  for (std::int64_t m0 = 0; m0 < a.rows; m0 += kMaxRows) {
    part.rows = Least(kMaxRows, a.rows - m0);
    part.out =
        static_cast<char*>(a.out) + m0 * a.out_stride() * (a.out_type == DType::kBF16 ? 2 : 4);
    exec.pool->ParallelFor(part.rows, 1 + 8192 / width,
                           [&](std::int64_t begin, std::int64_t end, int) {
                             for (std::int64_t i = begin; i < end; ++i)
                               WidenFp8Row(a, m0 + i, x + i * width);
                           });
    LinearOfFloats(part, rest);
  }
}

}  // namespace

void Linear(const LinearArgs& a, const Exec& exec) {
  if (a.x_type == DType::kF8E4M3) return LinearOfFp8(a, exec);
  LinearOfFloats(a, exec);
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t LinearScratch(const LinearArgs& a, int threads) {
  using namespace BK_ISA;
  if (a.x_type == DType::kF8E4M3)
    return static_cast<std::size_t>(WidenedBytes(a)) + LinearScratch(Widened(a, nullptr), threads);
  return static_cast<std::size_t>(Layout(a, threads).bytes()) * static_cast<std::size_t>(threads);
}
#endif

}  // namespace birkhoff::cpu
