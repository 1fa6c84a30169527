#include "models/deepseek_v3/absorbed.h"

#include <fmt/core.h>

namespace birkhoff::models::deepseek_v3 {
namespace {

std::int64_t RowBytes(const WeightMatrix& m) {
  switch (m.format) {
    case WeightFormat::kF32: return m.cols * 4;
    case WeightFormat::kBF16:
    case WeightFormat::kF16: return m.cols * 2;
    case WeightFormat::kFp8Block: return m.cols;
    case WeightFormat::kMxfp4: return m.cols / 2;
  }
  return 0;
}

Result<WeightMatrix> Rows(const MatrixParam& p, std::int64_t first, std::int64_t rows) {
  WeightMatrix m = p.m;
  m.rows = rows;
  m.data = static_cast<const std::byte*>(p.m.data) + first * RowBytes(m);
  if (m.scale == nullptr) return m;
  if (first % m.block_rows != 0) {
    return Status::Unsupported(
        fmt::format("{}: absorbed latent attention takes rows from {} on, which is inside a block "
                    "of {} rows with one scale",
                    p.name, first, m.block_rows));
  }
  const std::int64_t scales = (m.cols + m.block_cols - 1) / m.block_cols;
  m.scale = static_cast<const std::byte*>(m.scale) +
            first / m.block_rows * scales * static_cast<std::int64_t>(SizeOf(m.scale_type));
  return m;
}

}  // namespace

Result<AbsorbedParams> CutHeads(const Config& c, const AttentionParams& attention) {
  AbsorbedParams p;
  for (std::int64_t h = 0; h < c.heads; ++h) {
    const std::int64_t first = h * (c.nope_dim + c.v_dim);
    BK_ASSIGN_OR_RETURN(const WeightMatrix uk, Rows(attention.kv_b, first, c.nope_dim));
    BK_ASSIGN_OR_RETURN(const WeightMatrix uv, Rows(attention.kv_b, first + c.nope_dim, c.v_dim));
    p.uk.push_back(uk);
    p.uv.push_back(uv);
  }
  return p;
}

}  // namespace birkhoff::models::deepseek_v3
