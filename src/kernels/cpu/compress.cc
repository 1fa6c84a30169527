// The KV compressor: one entry per closed window, then the rings. Bound by memory and exponentials:
// each pooled k and z is read once or twice, and one Exp per pooled value.
#include "base/thread_pool.h"
#include "kernels/args/attention.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/sequences.h"
#include "kernels/cpu/simd.h"

namespace birkhoff::cpu {
namespace BK_ISA {
namespace {

// A pooled token, at the channels that it gives: from the rings, or from this step with ape to add.
struct Slot {
  const float* k = nullptr;
  const float* z = nullptr;
  const float* ape = nullptr;  // null: z has it already
};

// One worker's scratch: the slots of an entry and its channels.
struct Layout {
  std::int64_t slots = 0;
  std::int64_t channels = 0;

  explicit Layout(const CompressArgs& a)
      : slots((a.overlap ? 2 : 1) * a.ratio), channels((a.dim + 15) / 16 * 16) {}

  std::int64_t bytes() const {
    const auto n = static_cast<std::int64_t>(sizeof(Slot)) * slots +
                   static_cast<std::int64_t>(sizeof(float)) * channels;
    return (n + 63) / 64 * 64;
  }
};

std::int64_t Width(const CompressArgs& a) { return (a.overlap ? 2 : 1) * a.dim; }

Slot SlotAt(const CompressArgs& a, const Place& place, std::int64_t position,
            std::int64_t channel) {
  const std::int64_t width = Width(a);
  if (position >= place.past) {
    const std::int64_t at = (place.begin + position - place.past) * width + channel;
    return {a.k + at, a.g + at, a.ape + position % a.ratio * width + channel};
  }
  const std::int64_t at = RingRow(a.k_ring, place, position) * width + channel;
  return {static_cast<const float*>(a.k_ring.data) + at,
          static_cast<const float*>(a.z_ring.data) + at, nullptr};
}

// The tokens of an entry in ascending order; returns how many.
std::int64_t ListSlots(const CompressArgs& a, const Place& place, std::int64_t entry, Slot* slots) {
  std::int64_t n = 0;
  if (a.overlap && entry > 0) {
    for (std::int64_t p = (entry - 1) * a.ratio; p < entry * a.ratio; ++p)
      slots[n++] = SlotAt(a, place, p, 0);
  }
  for (std::int64_t p = entry * a.ratio; p < (entry + 1) * a.ratio; ++p)
    slots[n++] = SlotAt(a, place, p, a.overlap ? a.dim : 0);
  return n;
}

// Lanes [c, c + 16) of the pooled vector. kTail: only `rest` lanes exist.
template <bool kTail>
BK_INLINE F32x16 PoolLanes(const Slot* slots, std::int64_t n, std::int64_t c, int rest) {
  const auto load = [=](const float* p) { return kTail ? LoadN(p + c, rest) : Load(p + c); };
  const auto z = [&](const Slot& s) {
    return s.ape != nullptr ? Add(load(s.z), load(s.ape)) : load(s.z);
  };
  F32x16 top = Set(-HUGE_VALF);
  for (std::int64_t i = 0; i < n; ++i) top = Max(z(slots[i]), top);
  F32x16 num = Zero();
  F32x16 den = Zero();
  for (std::int64_t i = 0; i < n; ++i) {
    const F32x16 e = Exp(Sub(z(slots[i]), top));
    num = Fma(e, load(slots[i].k), num);
    den = Add(den, e);
  }
  return Div(num, den);
}

// v[0, D) = the pooled vector; returns its sum of squares.
float Pool(const Slot* slots, std::int64_t n, std::int64_t dim, float* v) {
  F32x16 squares = Zero();
  std::int64_t c = 0;
  for (; c + 16 <= dim; c += 16) {
    const F32x16 x = PoolLanes<false>(slots, n, c, 16);
    squares = Fma(x, x, squares);
    Store(v + c, x);
  }
  if (c < dim) {
    const int rest = static_cast<int>(dim - c);
    StoreN(v + c, PoolLanes<true>(slots, n, c, rest), rest);
    const F32x16 x = LoadN(v + c, rest);
    squares = Fma(x, x, squares);
  }
  return ReduceAdd(squares);
}

// Rotates the last 2P of D channels to a position.
void Rotate(const CompressArgs& a, std::int64_t position, float* v) {
  float* pair = v + a.dim - 2 * a.pairs;
  for (std::int64_t i = 0; i < a.pairs; ++i, pair += 2) {
    const double angle = a.precise ? static_cast<double>(position) * a.frequency[i]
                                   : static_cast<double>(static_cast<float>(position) *
                                                         static_cast<float>(a.frequency[i]));
    const auto c = static_cast<float>(::cos(angle));
    const auto s = static_cast<float>(::sin(angle));
    const float even = pair[0];
    const float odd = pair[1];
    pair[0] = __builtin_fmaf(even, c, -(odd * s));
    pair[1] = __builtin_fmaf(even, s, odd * c);
  }
}

void WriteEntry(const CompressArgs& a, const Place& place, std::int64_t entry, Slot* slots,
                float* v) {
  const std::int64_t n = ListSlots(a, place, entry, slots);
  const float mean = Pool(slots, n, a.dim, v) / static_cast<float>(a.dim);
  const float rs = 1.0f / std::sqrt(mean + a.eps);
  for (std::int64_t c = 0; c < a.dim; ++c) v[c] = v[c] * rs * a.norm[c];
  Rotate(a, entry * a.ratio, v);
  const bool bf16 = a.type == DType::kBF16;
  const std::int64_t at = (place.slot * a.entries.capacity + entry) * a.dim;
  std::int64_t c = 0;
  for (; c + 16 <= a.dim; c += 16) StoreAs(a.entries.data, bf16, at + c, Load(v + c));
  if (c < a.dim) StoreAsN(a.entries.data, bf16, at + c, Load(v + c), static_cast<int>(a.dim - c));
}

void WriteRingRow(const CompressArgs& a, const Place& place, std::int64_t token) {
  const std::int64_t width = Width(a);
  const std::int64_t at = RingRow(a.k_ring, place, place.position) * width;
  std::memcpy(static_cast<float*>(a.k_ring.data) + at, a.k + token * width,
              static_cast<std::size_t>(width) * sizeof(float));
  const float* g = a.g + token * width;
  const float* ape = a.ape + place.position % a.ratio * width;
  float* z = static_cast<float*>(a.z_ring.data) + at;
  for (std::int64_t c = 0; c < width; ++c) z[c] = g[c] + ape[c];
}

}  // namespace

void Compress(const CompressArgs& a, const Exec& exec) {
  const Layout layout(a);
  // A token that closes a window is the one that writes its entry.
  const std::int64_t grain = a.ratio < 16 ? 16 : a.ratio;
  exec.pool->ParallelFor(a.tokens, grain, [&](std::int64_t first, std::int64_t last, int worker) {
    auto* slots =
        reinterpret_cast<Slot*>(static_cast<char*>(exec.scratch) + worker * layout.bytes());
    auto* v = reinterpret_cast<float*>(slots + layout.slots);
    for (std::int64_t t = first; t < last; ++t) {
      const Place place = Locate(a.batch, t);
      if ((place.position + 1) % a.ratio == 0)
        WriteEntry(a, place, place.position / a.ratio, slots, v);
    }
  });
  exec.pool->ParallelFor(a.tokens, 64, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t t = first; t < last; ++t) {
      const Place place = Locate(a.batch, t);
      if (t >= place.end - a.k_ring.capacity) WriteRingRow(a, place, t);
    }
  });
}

}  // namespace BK_ISA

#if !defined(__AVX2__)  // the same for every build of this source: defined by the generic one
std::size_t CompressScratch(const CompressArgs& a, int threads) {
  return static_cast<std::size_t>(BK_ISA::Layout(a).bytes() * threads);
}
#endif

}  // namespace birkhoff::cpu
