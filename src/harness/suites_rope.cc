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
};

Problem<RopeArgs> MakeRope(const RopeShape& s) {
  Problem<RopeArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.tokens * 8191 + s.dim));
  const std::int64_t n = s.tokens * s.heads * s.dim;
  void* x = p.buffers->Values(n, s.x, 1.0);
  float* table = p.buffers->Floats(s.tokens * s.pairs * 2, 1.0);
  for (std::int64_t i = 0; i < s.tokens * s.pairs; ++i) {
    const double angle = 6.3 * p.buffers->Uniform();
    table[2 * i] = static_cast<float>(std::cos(angle));
    table[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  // One product is rounded, then the sum: two roundings of at most |e| + |o| <= sqrt 2 |pair|.
  const auto bound = [s, x](std::int64_t i, double expected) {
    const std::int64_t channel = i % s.dim - (s.dim - 2 * s.pairs);
    if (channel < 0) return Rounded(s.out, expected);
    const auto at = [&](std::int64_t j) {
      return s.x == kF32 ? static_cast<double>(static_cast<const float*>(x)[j])
                         : static_cast<double>(static_cast<float>(static_cast<const bf16*>(x)[j]));
    };
    const std::int64_t even = i - channel % 2;
    return Rounded(s.out, expected) + 3 * kF32Eps * (std::abs(at(even)) + std::abs(at(even + 1)));
  };
  p.outputs = {NewOutput(*p.buffers, "out", s.out, n, bound)};
  p.args = {x, table, p.outputs[0].data, s.x, s.out, s.tokens, s.heads, s.dim, s.pairs, s.inverse};
  p.bytes = static_cast<double>(ByteSize(s.x, n) + ByteSize(s.out, n)) +
            8.0 * static_cast<double>(s.tokens * s.pairs);
  p.flops = 6.0 * static_cast<double>(s.tokens * s.heads * s.pairs);
  return p;
}

std::unique_ptr<Suite> RopeSuite() {
  std::vector<Case<RopeArgs>> cases;
  for (const RopeShape& s : {RopeShape{0, 2, 8, 4, kF32, kF32, false, false},
                             RopeShape{3, 1, 2, 1, kF32, kBF16, false, false},
                             RopeShape{2, 3, 19, 5, kBF16, kF32, true, false},
                             RopeShape{5, 2, 40, 20, kF32, kF32, true, false},
                             RopeShape{4, 6, 64, 16, kBF16, kBF16, false, false},
                             RopeShape{1, 64, 512, 32, kBF16, kBF16, false, true},
                             RopeShape{16, 64, 512, 32, kF32, kBF16, true, true}}) {
    cases.push_back({fmt::format("T={} H={} D={} P={} {}->{}{}", s.tokens, s.heads, s.dim, s.pairs,
                                 Short(s.x), Short(s.out), s.inverse ? " inverse" : ""),
                     [s] { return MakeRope(s); }, s.bench});
  }
  return MakeSuite("rope", ops::RopeKernels(), std::move(cases));
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
