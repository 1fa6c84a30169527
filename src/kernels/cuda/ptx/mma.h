// Tensor-core products of small tiles. sm_80.
#pragma once

#include <cstdint>

namespace birkhoff::ptx {

// d += a b: a is 16 x 16, b 16 x 8, both bf16, d f32. With g = lane / 4 and l = lane % 4:
//   a.x  row g,     columns 2l, 2l + 1        a.z  row g,     columns 2l + 8, 2l + 9
//   a.y  row g + 8, columns 2l, 2l + 1        a.w  row g + 8, columns 2l + 8, 2l + 9
//   b0   rows 2l, 2l + 1 of column g          b1   rows 2l + 8, 2l + 9 of column g
//   d[0], d[1]  row g, columns 2l, 2l + 1     d[2], d[3]  row g + 8, the same columns
__device__ inline void MmaBf16(float (&d)[4], uint4 a, std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

}  // namespace birkhoff::ptx
