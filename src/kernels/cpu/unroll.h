// BK_UNROLL before a loop with constant bounds unrolls it, so that arrays indexed in it become
// registers. At -O2 g++ leaves them in memory, which costs a factor of three. The generic build has
// its lanes in memory anyhow, and would take minutes to compile.
#pragma once

#if !defined(__AVX2__)
#define BK_UNROLL
#elif defined(__clang__)
#define BK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BK_UNROLL _Pragma("GCC unroll 16")
#endif
