// Embedding: copies a row of the table per token, widened or rounded where the types differ.
#include "kernels/args/embedding.h"

#include "base/thread_pool.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/runs.h"

namespace birkhoff::cpu::BK_ISA {
namespace {

BK_INLINE float FromBits(std::uint32_t u) {
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

float WidenF16(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return FromBits(sign | 0x7f800000u | magnitude << 13);
  // Shifted into place, the exponent is too small by 112; the product also normalises subnormals.
  const float f = FromBits(magnitude << 13) * 0x1p112f;
  return sign != 0 ? -f : f;
}

// Element i of a row of the file, which promises no alignment.
float Element(const char* row, WeightFormat format, std::int64_t i) {
  if (format == WeightFormat::kF32) {
    float f;
    std::memcpy(&f, row + 4 * i, 4);
    return f;
  }
  std::uint16_t h;
  std::memcpy(&h, row + 2 * i, 2);
  return format == WeightFormat::kBF16 ? FromBits(static_cast<std::uint32_t>(h) << 16)
                                       : WidenF16(h);
}

void EmbedRow(const EmbeddingArgs& a, std::int64_t token) {
  const WeightFormat format = a.table.format;
  const std::int64_t width = a.table.cols;
  const std::int64_t row_bytes = width * (format == WeightFormat::kF32 ? 4 : 2);
  const char* row = static_cast<const char*>(a.table.data) + a.ids[token] * row_bytes;
  const bool copy = (format == WeightFormat::kBF16 && a.out_type == DType::kBF16) ||
                    (format == WeightFormat::kF32 && a.out_type == DType::kF32);
  if (copy) {
    std::memcpy(static_cast<char*>(a.out) + token * row_bytes, row,
                static_cast<std::size_t>(row_bytes));
    return;
  }
  ForRuns(width, [&](std::int64_t i, int n) {
    float t[16] = {};
    for (int l = 0; l < n; ++l) t[l] = Element(row, format, i + l);
    StoreRun(a.out, a.out_type, token * width + i, Load(t), n);
  });
}

}  // namespace

void Embedding(const EmbeddingArgs& a, const Exec& exec) {
  exec.pool->ParallelFor(a.tokens, RowGrain(a.table.cols),
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t t = begin; t < end; ++t) EmbedRow(a, t);
                         });
}

}  // namespace birkhoff::cpu::BK_ISA
