// FP8 of rows, as they are or behind a norm or a SwiGLU, which a thread makes a row at a time and
// quantises while it is in cache. Bound by memory: each element is read and written once.
#include "kernels/args/quantise.h"

#include "base/thread_pool.h"
#include "kernels/cpu/fp8_row.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/rms_norm_row.h"
#include "kernels/cpu/swiglu_row.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

// Element i of an array.
BK_INLINE const void* At(const void* p, DType type, std::int64_t i) {
  return static_cast<const char*>(p) + i * (type == DType::kBF16 ? 2 : 4);
}
BK_INLINE void* At(void* p, DType type, std::int64_t i) {
  return static_cast<char*>(p) + i * (type == DType::kBF16 ? 2 : 4);
}

}  // namespace

void Quantise(const QuantiseArgs& a, const Exec& exec) {
  const Fp8Rows fp8 = fp8::WithSteps(a.fp8, a.width);
  exec.pool->ParallelFor(a.rows, RowGrain(2 * a.width),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t r = begin; r < end; ++r)
                             Fp8Row(a.x, a.type, r * a.x_step(), a.width, fp8, r);
                         });
}

void RmsNormQuantise(const RmsNormQuantiseArgs& a, const Exec& exec) {
  const Fp8Rows fp8 = fp8::WithSteps(a.fp8, a.width);
  exec.pool->ParallelFor(a.rows, RowGrain(4 * a.width),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t r = begin; r < end; ++r) {
                             void* out = At(a.out, a.out_type, r * a.width);
                             RmsNormArgs norm;
                             norm.x = At(a.x, a.x_type, r * a.x_step());
                             norm.weight = a.weight;
                             norm.out = out;
                             norm.x_type = a.x_type;
                             norm.out_type = a.out_type;
                             norm.rows = 1;
                             norm.width = a.width;
                             norm.eps = a.eps;
                             NormRow(norm, 0);
                             Fp8Row(out, a.out_type, 0, a.width, fp8, r);
                           }
                         });
}

void SwigluQuantise(const SwigluQuantiseArgs& a, const Exec& exec) {
  const Fp8Rows fp8 = fp8::WithSteps(a.fp8, a.width);
  exec.pool->ParallelFor(a.rows, RowGrain(8 * a.width),
                         [&](std::int64_t begin, std::int64_t end, int worker) {
                           void* own = At(exec.scratch, a.type, worker * a.width);
                           for (std::int64_t r = begin; r < end; ++r) {
                             SwigluRow({.gate = At(a.gate, a.type, r * a.width),
                                        .up = At(a.up, a.type, r * a.width),
                                        .out = own,
                                        .type = a.type,
                                        .rows = 1,
                                        .width = a.width,
                                        .limit = a.limit},
                                       0);
                             Fp8Row(own, a.type, 0, a.width, fp8, r);
                           }
                         });
}

}  // namespace birkhoff::cpu::BK_ISA
