#include "models/value_check.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/thread_pool.h"

namespace birkhoff::models {
namespace {

// A fixed trip count without an exit is what compilers vectorise at -O2.
constexpr std::int64_t kBlock = 4096;
constexpr std::int64_t kPiece = 1 << 20;  // elements that a thread takes at a time

template <class T, class Bad>
std::int64_t FirstIn(const T* p, std::int64_t begin, std::int64_t end, Bad bad) {
  std::int64_t i = begin;
  for (; i + kBlock <= end; i += kBlock) {
    T any = 0;
    for (std::int64_t j = 0; j < kBlock; ++j) any |= bad(p[i + j]);
    if (any != 0) break;
  }
  for (; i < end; ++i) {
    if (bad(p[i]) != 0) return i;
  }
  return -1;
}

// `bad` maps the bits of an element to 0 or 1 of the same type.
template <class T, class Bad>
std::int64_t First(const void* data, std::int64_t n, ThreadPool* pool, Bad bad) {
  const auto* p = static_cast<const T*>(data);
  if (pool == nullptr || n <= kPiece) return FirstIn(p, 0, n, bad);
  std::atomic<std::int64_t> lowest{n};
  pool->ParallelFor(n, kPiece, [&](std::int64_t begin, std::int64_t end, int) {
    const std::int64_t i = FirstIn(p, begin, end, bad);
    if (i < 0) return;
    std::int64_t seen = lowest.load();
    while (i < seen && !lowest.compare_exchange_weak(seen, i)) {
    }
  });
  return lowest.load() == n ? -1 : lowest.load();
}

using U8 = std::uint8_t;
using U16 = std::uint16_t;
using U32 = std::uint32_t;

}  // namespace

std::int64_t FindNonFinite(DType dtype, const void* data, std::int64_t n, ThreadPool* pool) {
  // NaN and infinity are all ones in the exponent; in E4M3 the mantissa belongs to it.
  switch (dtype) {
    case DType::kF32:
      return First<U32>(data, n, pool, [](U32 v) { return U32{(v & 0x7f800000u) == 0x7f800000u}; });
    case DType::kBF16:
      return First<U16>(data, n, pool,
                        [](U16 v) { return static_cast<U16>((v & 0x7f80u) == 0x7f80u); });
    case DType::kF16:
      return First<U16>(data, n, pool,
                        [](U16 v) { return static_cast<U16>((v & 0x7c00u) == 0x7c00u); });
    case DType::kF8E4M3:
      return First<U8>(data, n, pool, [](U8 v) { return static_cast<U8>((v & 0x7fu) == 0x7fu); });
    case DType::kF8E8M0:
      return First<U8>(data, n, pool, [](U8 v) { return static_cast<U8>(v == 0xffu); });
    default: return -1;
  }
}

std::int64_t FindBadScale(DType dtype, const void* data, std::int64_t n, ThreadPool* pool) {
  if (dtype != DType::kF32) return FindNonFinite(dtype, data, n, pool);
  // The bits of positive finite numbers are 1 .. 0x7f7fffff.
  return First<U32>(data, n, pool, [](U32 v) { return U32{v - 1u >= 0x7f7fffffu}; });
}

}  // namespace birkhoff::models
