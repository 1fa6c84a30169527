// Products of many rows of x. Weights are widened and turned over into panels of the size of L2, so
// that outputs lie in the lanes of a register and each of the sixteen chains of LinearArgs is a
// product of its own. Sixteen lanes of one output in a register would cost a reduction per output,
// more than the products themselves at K = 128.
#pragma once

#include "kernels/cpu/dequant.h"
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/gemm_tiles.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/transpose.h"

namespace birkhoff::cpu::BK_ISA {

constexpr std::int64_t kPanelRuns = 64;  // columns of a panel: 64 x 2048 f32, 512 KiB of L2
constexpr std::int64_t kBlockRuns = kBlockColumns / kRun;

struct Columns;

// Up to kPanel rows of a weight matrix, and zeros up to a multiple of 16, as they lie in scratch:
// block after block of columns, in each chain after chain [2 runs, kPanel].
struct Panel {
  void (*fill)(const Panel&, const Columns&) = nullptr;
  const WeightMatrix* w = nullptr;
  std::int64_t first = 0;
  std::int64_t rows = 0;
  float* y = nullptr;  // stride kMaxOutputs
  std::int64_t width = 0;
  float* data = nullptr;
  float* kept = nullptr;  // [16, kept rows, kPanel]: sums of earlier columns
};

BK_INLINE std::int64_t ChainFloats(std::int64_t runs) { return 2 * runs * kPanel + kPad; }

// The runs [begin, end) that are in the panels, and the blocks that they are divided into.
struct Columns {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t RunsOfBlock(std::int64_t run) const { return Least(kBlockRuns, end - run); }
  float* Block(const Panel& panel, std::int64_t run) const {
    return panel.data + (run - begin) / kBlockRuns * kChains * ChainFloats(kBlockRuns);
  }
};

template <class Row>
void FillPanel(const Panel& panel, const Columns& columns) {
  const WeightMatrix& w = *panel.w;
  const std::int64_t whole = w.cols / kRun;
  const std::int64_t per_block = Row::RunsPerBlock(w);
  for (std::int64_t j = 0; j < panel.width; j += 16) {
    const int n = static_cast<int>(Least(16, panel.rows - j));
    Row row[16];
    for (int i = 0; i < n; ++i) row[i] = Row(w, panel.first + j + i);
    alignas(64) float even[16 * 16] = {};
    alignas(64) float odd[16 * 16] = {};
    for (std::int64_t run = columns.begin; run < columns.end; ++run) {
      const bool sets = run == columns.begin || run % per_block == 0;
      for (int i = 0; i < n; ++i) {
        F32x16 e, o;
        if (sets) row[i].SetBlock(run / per_block);
        if (run < whole) {
          row[i].Read(run, &e, &o);
        } else {
          ReadTail(row[i], row[i].data + run * Row::kRunBytes, static_cast<int>(w.cols % kRun), &e,
                   &o);
        }
        Store(even + 16 * i, e);
        Store(odd + 16 * i, o);
      }
      const std::int64_t block = columns.begin + (run - columns.begin) / kBlockRuns * kBlockRuns;
      const std::int64_t stride = ChainFloats(columns.RunsOfBlock(block));
      float* to = columns.Block(panel, block) + 2 * (run - block) * kPanel + j;
      Transpose16(even, to, stride);
      Transpose16(odd, to + kPanel, stride);
    }
  }
}

// Runs [run, run + runs) of a row of x as f32, followed by zeros.
inline void WidenRuns(const Rows& x, std::int64_t i, std::int64_t width, std::int64_t run,
                      std::int64_t runs, float* out) {
  const std::int64_t columns = Least(runs * kRun, width - run * kRun);
  WidenRow(x.data, x.is_bf16, x.Begin(i) + run * kRun, columns, out);
  if (RoundUp(columns, 16) < runs * kRun) Store(out + runs * kRun - 16, Zero());
}

// Scratch in floats.
struct ManyLayout {
  std::int64_t panel = 0;
  std::int64_t block = 0;      // of x
  std::int64_t kept_rows = 0;  // rows of x whose chains are kept from block to block
  std::int64_t kept = 0;

  ManyLayout(std::int64_t rows, std::int64_t width) {
    const std::int64_t all = CeilDiv(width, kRun);
    const std::int64_t runs = Least(all, kPanelRuns);
    panel = kPanel * runs * kRun + CeilDiv(runs, kBlockRuns) * kChains * kPad;
    block = kBlockRows * kBlockStride;
    // With all columns in the panel a block of rows is complete before the next block begins.
    kept_rows = all <= kPanelRuns ? Least(rows, kBlockRows) : rows;
    kept = all <= kBlockRuns ? 0 : kChains * kept_rows * kPanel;
  }
  std::int64_t floats(std::int64_t panels) const { return block + panels * (panel + kept); }
};

// The panels hold columns of weights of the same width.
inline void MultiplyMany(const Rows& x, std::int64_t width, Panel* panels, int count,
                         float* scratch) {
  const ManyLayout layout(x.count, width);
  float* block = scratch;
  for (int p = 0; p < count; ++p) {
    panels[p].data = block + layout.block + p * (layout.panel + layout.kept);
    panels[p].kept = panels[p].data + layout.panel;
  }
  const std::int64_t all = CeilDiv(width, kRun);
  for (Columns columns; columns.begin < all; columns.begin = columns.end) {
    columns.end = Least(columns.begin + kPanelRuns, all);
    for (int p = 0; p < count; ++p) panels[p].fill(panels[p], columns);
    for (std::int64_t i0 = 0; i0 < x.count; i0 += kBlockRows) {
      const std::int64_t rows = Least(kBlockRows, x.count - i0);
      for (std::int64_t run = columns.begin; run < columns.end; run += kBlockRuns) {
        Pass pass;
        pass.x = block;
        pass.runs = columns.RunsOfBlock(run);
        pass.begins = run == 0;
        pass.ends = run + pass.runs == all;
        for (std::int64_t i = 0; i < rows; ++i)
          WidenRuns(x, i0 + i, width, run, pass.runs, block + i * kBlockStride);
        for (const Panel* p = panels; p != panels + count; ++p) {
          pass.width = p->width;
          pass.w = columns.Block(*p, run);
          pass.w_stride = ChainFloats(pass.runs);
          if (layout.kept > 0)
            pass.kept = p->kept + (layout.kept_rows > kBlockRows ? i0 : 0) * kPanel;
          pass.kept_stride = layout.kept_rows * kPanel;
          pass.y = p->y + i0 * kMaxOutputs;
          RunPass(pass, rows);
        }
      }
    }
  }
}

}  // namespace birkhoff::cpu::BK_ISA
