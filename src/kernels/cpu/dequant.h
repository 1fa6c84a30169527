// Rows of a weight matrix as f32, in runs of 32 columns: lane l of `even` is column 2l of the run,
// of `odd` column 2l + 1.
//
// One Row type per format:
//   kRunBytes             stored bytes of a run
//   kStep                 runs that are best read at once
//   RunsPerBlock(w)       SetBlock(b) comes before the runs of a block b of so many
//   Read, ReadStep(run)   a run, or kStep of them
//   ReadFrom(p)           a run stored elsewhere; not for kMxfp4, which has whole runs only
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "kernels/args/weight_matrix.h"
#include "kernels/cpu/dequant_lanes.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu::BK_ISA {

inline constexpr std::int64_t kRun = 32;

// What the 256 codes of E8M0 mean.
struct E8m0Table {
  float value[256] = {};
  constexpr E8m0Table() {
    value[0] = std::bit_cast<float>(0x00400000u);  // 2^-127 is denormal
    for (std::uint32_t b = 1; b < 255; ++b) value[b] = std::bit_cast<float>(b << 23);
    value[255] = std::bit_cast<float>(0x7fc00000u);
  }
};
inline constexpr E8m0Table kE8m0;

// Formats without scales: one block.
template <std::int64_t kBytes, void (*kLoad)(const void*, F32x16*, F32x16*)>
struct PlainRow {
  static constexpr std::int64_t kRunBytes = kBytes;
  static constexpr int kStep = 1;
  static std::int64_t RunsPerBlock(const WeightMatrix& w) { return w.cols / kRun + 1; }

  PlainRow() = default;
  BK_INLINE PlainRow(const WeightMatrix& w, std::int64_t row)
      : data(static_cast<const std::uint8_t*>(w.data) + row * w.cols * (kBytes / kRun)) {}
  BK_INLINE void SetBlock(std::int64_t) {}
  BK_INLINE void ReadFrom(const void* p, F32x16* even, F32x16* odd) const { kLoad(p, even, odd); }
  BK_INLINE void Read(std::int64_t run, F32x16* even, F32x16* odd) const {
    kLoad(data + run * kBytes, even, odd);
  }
  BK_INLINE void ReadStep(std::int64_t run, F32x16* even, F32x16* odd) const {
    Read(run, even, odd);
  }

  const std::uint8_t* data = nullptr;
};

using F32Row = PlainRow<128, LoadF32Pairs>;
using Bf16Row = PlainRow<64, LoadPackedBf16>;
using F16Row = PlainRow<64, LoadF16Pairs>;

struct Fp8Row {
  static constexpr std::int64_t kRunBytes = 32;
  static constexpr int kStep = 2;
  // A block of all columns may end in a partial run.
  static std::int64_t RunsPerBlock(const WeightMatrix& w) { return CeilDiv(w.block_cols, kRun); }

  Fp8Row() = default;
  BK_INLINE Fp8Row(const WeightMatrix& w, std::int64_t row)
      : data(static_cast<const std::uint8_t*>(w.data) + row * w.cols),
        scale_is_f32(w.scale_type == DType::kF32) {
    const std::int64_t first = row / w.block_rows * CeilDiv(w.cols, w.block_cols);
    scales = static_cast<const std::uint8_t*>(w.scale) + first * (scale_is_f32 ? 4 : 1);
  }

  BK_INLINE void SetBlock(std::int64_t b) {
    float s = 0;
    if (scale_is_f32) {
      std::memcpy(&s, scales + b * 4, 4);
    } else {
      s = kE8m0.value[scales[b]];
    }
    // The factor 2^8 that LoadE4m3Pairs leaves out goes with the scale, unless that would overflow.
    huge = !(std::fabs(s) < 0x1p120f);
    scale = Set(huge ? s : s * 0x1p8f);
  }

  BK_INLINE void ReadFrom(const void* p, F32x16* even, F32x16* odd) const {
    LoadE4m3Pairs(p, even, odd);
    Apply(even, odd);
  }
  BK_INLINE void Read(std::int64_t run, F32x16* even, F32x16* odd) const {
    ReadFrom(data + run * kRunBytes, even, odd);
  }
  BK_INLINE void ReadStep(std::int64_t run, F32x16* even, F32x16* odd) const {
    LoadE4m3Pairs2(data + run * kRunBytes, even, odd);
    Apply(even, odd);
    Apply(even + 1, odd + 1);
  }

  BK_INLINE void Apply(F32x16* even, F32x16* odd) const {
    if (huge) [[unlikely]] {
      *even = Mul(*even, Set(0x1p8f));
      *odd = Mul(*odd, Set(0x1p8f));
    }
    *even = Mul(*even, scale);
    *odd = Mul(*odd, scale);
  }

  const std::uint8_t* data = nullptr;
  const std::uint8_t* scales = nullptr;
  F32x16 scale = Zero();
  bool scale_is_f32 = false;
  bool huge = false;
};

struct Mxfp4Row {
  static constexpr std::int64_t kRunBytes = 16;
  static constexpr int kStep = 4;
  static std::int64_t RunsPerBlock(const WeightMatrix& w) { return w.cols / kRun; }

  Mxfp4Row() = default;
  BK_INLINE Mxfp4Row(const WeightMatrix& w, std::int64_t row)
      : data(static_cast<const std::uint8_t*>(w.data) + row * (w.cols / 2)),
        scales(static_cast<const std::uint8_t*>(w.scale) + row * (w.cols / kRun)) {}

  BK_INLINE void SetBlock(std::int64_t) {}  // every run has its own scale
  BK_INLINE void Read(std::int64_t run, F32x16* even, F32x16* odd) const {
    LoadE2m1Pairs(data + run * kRunBytes, MakeE2m1Table(kE8m0.value[scales[run]]), even, odd);
  }
  BK_INLINE void ReadStep(std::int64_t run, F32x16* even, F32x16* odd) const {
    Read(run, even, odd);
    Read(run + 1, even + 1, odd + 1);
    Read(run + 2, even + 2, odd + 2);
    Read(run + 3, even + 3, odd + 3);
  }

  const std::uint8_t* data = nullptr;
  const std::uint8_t* scales = nullptr;
};

// Calls f with a Row of the format.
template <class F>
BK_INLINE void ForFormat(WeightFormat format, F f) {
  switch (format) {
    case WeightFormat::kF32: return f(F32Row());
    case WeightFormat::kBF16: return f(Bf16Row());
    case WeightFormat::kF16: return f(F16Row());
    case WeightFormat::kFp8Block: return f(Fp8Row());
    case WeightFormat::kMxfp4: return f(Mxfp4Row());
  }
}

// Keeps the first n columns of a run, n in [0, 32]; the others become +0.
BK_INLINE void KeepColumns(int n, F32x16* even, F32x16* odd) {
  float e[16];
  float o[16];
  Store(e, *even);
  Store(o, *odd);
  *even = LoadN(e, (n + 1) / 2);
  *odd = LoadN(o, n / 2);
}

// The last, partial run of a row: n in [1, 31] columns at p.
template <class Row>
BK_INLINE void ReadTail(const Row& row, const void* p, int n, F32x16* even, F32x16* odd) {
  unsigned char run[Row::kRunBytes] = {};
  std::memcpy(run, p, static_cast<std::size_t>(n * Row::kRunBytes / kRun));
  row.ReadFrom(run, even, odd);
  KeepColumns(n, even, odd);  // a scale of infinity makes a NaN of the padding
}
template <>
BK_INLINE void ReadTail(const Mxfp4Row&, const void*, int, F32x16*, F32x16*) {}  // has none

}  // namespace birkhoff::cpu::BK_ISA
