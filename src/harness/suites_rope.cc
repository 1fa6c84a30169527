#include <fmt/format.h>

#include "harness/problems.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

struct RopeShape {
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t pairs = 0;
  DType x = kF32;
  DType out = kBF16;
  bool inverse = false;
  bool bench = false;
  RopePairing pairing = RopePairing::kAdjacent;
  std::int64_t x_row = 0;  // 0: packed; else the columns from x_begin on of rows of this width
  std::int64_t x_begin = 0;
};

Problem<RopeArgs> MakeRope(const RopeShape& s) {
  Problem<RopeArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.tokens * 8191 + s.dim));
  const std::int64_t n = s.tokens * s.heads * s.dim;
  const std::int64_t row = s.x_row > 0 ? s.x_row : s.dim;
  const void* x =
      static_cast<const std::byte*>(p.buffers->Values(s.tokens * s.heads * row, s.x, 1.0)) +
      ByteSize(s.x, s.x_begin);
  float* table = p.buffers->Floats(s.tokens * s.pairs * 2, 1.0);
  for (std::int64_t i = 0; i < s.tokens * s.pairs; ++i) {
    const double angle = 6.3 * p.buffers->Uniform();
    table[2 * i] = static_cast<float>(std::cos(angle));
    table[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  // One product is rounded, then the sum: two roundings of at most |e| + |o| <= sqrt 2 |pair|.
  const auto bound = [s, x, row](std::int64_t i, double expected) {
    const std::int64_t channel = i % s.dim - (s.dim - 2 * s.pairs);
    if (channel < 0) return Rounded(s.out, expected);
    const auto at = [&](std::int64_t c) {
      const std::int64_t j = i / s.dim * row + s.dim - 2 * s.pairs + c;
      return s.x == kF32 ? static_cast<double>(static_cast<const float*>(x)[j])
                         : static_cast<double>(static_cast<float>(static_cast<const bf16*>(x)[j]));
    };
    const std::int64_t other = s.pairing == RopePairing::kAdjacent ? channel + 1 - channel % 2 * 2
                               : channel < s.pairs                 ? channel + s.pairs
                                                                   : channel - s.pairs;
    return Rounded(s.out, expected) + 3 * kF32Eps * (std::abs(at(channel)) + std::abs(at(other)));
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.out, n, bound)};
  p.args = {x,       table, p.outputs[0].data, s.x,       s.out,     s.tokens,
            s.heads, s.dim, s.pairs,           s.inverse, s.pairing, s.x_row};
  p.bytes = static_cast<double>(ByteSize(s.x, n) + ByteSize(s.out, n)) +
            8.0 * static_cast<double>(s.tokens * s.pairs);
  p.flops = 6.0 * static_cast<double>(s.tokens * s.heads * s.pairs);
  return p;
}

std::unique_ptr<Suite> RopeSuite() {
  constexpr RopePairing kAdjacent = RopePairing::kAdjacent;
  constexpr RopePairing kHalf = RopePairing::kHalf;
  const auto make_case = [](const RopeShape& s) {
    return Case<RopeArgs>{
        fmt::format("T={} H={} D={} P={} {}->{}{}{}{}", s.tokens, s.heads, s.dim, s.pairs,
                    Short(s.x), Short(s.out), s.inverse ? " inverse" : "",
                    s.pairing == kHalf ? " half" : "",
                    s.x_row > 0 ? fmt::format(" from {} of {}", s.x_begin, s.x_row) : ""),
        [s] { return MakeRope(s); }, s.bench};
  };
  std::vector<Case<RopeArgs>> cases;
  for (const RopeShape& s :
       {RopeShape{0, 2, 8, 4, kF32, kF32, false, false},
        RopeShape{3, 1, 2, 1, kF32, kBF16, false, false},
        RopeShape{2, 3, 19, 5, kBF16, kF32, true, false},
        RopeShape{5, 2, 40, 20, kF32, kF32, true, false},
        RopeShape{4, 6, 64, 16, kBF16, kBF16, false, false},
        RopeShape{2, 3, 19, 5, kBF16, kF32, true, false, kHalf},
        RopeShape{3, 5, 64, 32, kF32, kBF16, false, false, kHalf},
        RopeShape{5, 2, 70, 33, kF32, kF32, true, false, kHalf, 75, 3},
        RopeShape{17, 3, 64, 32, kF32, kBF16, false, false, kAdjacent, 192, 128},
        RopeShape{33, 1, 64, 32, kBF16, kF32, false, false, kAdjacent, 2112, 2048},
        RopeShape{7, 2, 48, 8, kBF16, kBF16, true, false, kHalf, 56, 8},
        RopeShape{65537, 1, 8, 4, kF32, kBF16, false, false, kAdjacent, 12, 4},
        RopeShape{90000, 2, 3, 1, kBF16, kBF16, false, false, kHalf},
        RopeShape{1, 64, 512, 32, kBF16, kBF16, false, true},
        RopeShape{16, 64, 512, 32, kF32, kBF16, true, true}}) {
    cases.push_back(make_case(s));
  }
  GpuBench<RopeArgs> bench;
  for (const std::int64_t t : {1, 64, 1024, 4096}) {
    for (const RopeShape& s :
         {RopeShape{t, 64, 512, 32, kF32, kBF16, false, true},
          RopeShape{t, 64, 128, 64, kF32, kBF16, false, true, kHalf},
          RopeShape{t, 1, 64, 32, kF32, kBF16, false, true, kAdjacent, 2112, 2048}}) {
      bench.cases.push_back(make_case(s));
    }
  }
  return MakeSuite("rope", ops::RopeKernels(), std::move(cases), std::move(bench));
}

struct RopeTableShape {
  std::int64_t tokens = 0;
  std::int64_t pairs = 0;
  std::int64_t positions = 0;  // drawn below this
  bool precise = false;
  bool bench = false;
};

Problem<RopeTableArgs> MakeRopeTable(const RopeTableShape& s) {
  Problem<RopeTableArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.tokens * 31 + s.pairs));
  p.args.positions = p.buffers->Ints(s.tokens, s.positions);
  auto* frequency = static_cast<double*>(p.buffers->Bytes(8 * s.pairs));
  for (std::int64_t i = 0; i < s.pairs; ++i) {
    frequency[i] = std::pow(160000.0, -static_cast<double>(i) / static_cast<double>(s.pairs));
  }
  // Both take the cosine of the same double; libm is within an ulp of it.
  p.outputs = {NewOutput(*p.buffers, "table", kF32, s.tokens * s.pairs * 2, Relative(kF32, 0))};
  p.args.frequency = frequency;
  p.args.table = static_cast<float*>(p.outputs[0].data);
  p.args.tokens = s.tokens;
  p.args.pairs = s.pairs;
  p.args.precise = s.precise;
  p.bytes = 8.0 * static_cast<double>(s.tokens * s.pairs);
  return p;
}

std::unique_ptr<Suite> RopeTableSuite() {
  std::vector<Case<RopeTableArgs>> cases;
  for (const RopeTableShape& s :
       {RopeTableShape{0, 4, 1, false, false}, RopeTableShape{5, 1, 100, false, false},
        RopeTableShape{33, 32, 1 << 20, true, false},
        RopeTableShape{64, 32, 1 << 20, false, true}}) {
    cases.push_back({fmt::format("T={} P={} positions<{}{}", s.tokens, s.pairs, s.positions,
                                 s.precise ? " precise" : ""),
                     [s] { return MakeRopeTable(s); }, s.bench});
  }
  return MakeSuite("rope_table", ops::RopeTableKernels(), std::move(cases));
}

}  // namespace

void AddRopeSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(RopeSuite());
  to.push_back(RopeTableSuite());
}

}  // namespace birkhoff::harness
