#include <fmt/format.h>

#include "harness/steps.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

// The counts of tokens at which kernels change their ways, and more than a grid has on its y.
constexpr std::int64_t kTokenCounts[] = {0,  1,  2,  15,  16,  17,  31,    32,   33,
                                         63, 64, 65, 127, 128, 129, 65537, 90000};
constexpr std::int64_t kBenchTokens[] = {1, 64, 1024, 4096};

// Element `at` of an array.
const void* From(const void* data, DType type, std::int64_t at) {
  return static_cast<const std::byte*>(data) + ByteSize(type, at);
}

double Sum(std::initializer_list<std::int64_t> bytes) {
  double sum = 0;
  for (const std::int64_t b : bytes) sum += static_cast<double>(b);
  return sum;
}

// Roundings of a normed element before the last one: see rms_norm.
double NormUlps(std::int64_t width) { return (static_cast<double>(width) / 16 + 6) / 2 + 4; }

// ---- dual_rms_norm

struct DualShape {
  std::int64_t rows = 0;
  std::int64_t widths[2] = {};
  std::int64_t row = 0;    // of the projection that both are columns of
  std::int64_t begin = 0;  // of the first in it; the second follows
  DType x = kB;
  DType out[2] = {kB, kB};
  bool bench = false;

  std::string name() const {
    return fmt::format("T={} {}|{} from {} of {} {}->{},{}", rows, widths[0], widths[1], begin, row,
                       Short(x), Short(out[0]), Short(out[1]));
  }
};

Problem<DualRmsNormArgs> MakeDual(const DualShape& s) {
  Problem<DualRmsNormArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.rows * 8191 + s.row));
  const void* x = p.buffers->Values(s.rows * s.row, s.x, 3.0, 0.5);
  std::int64_t begin = s.begin;
  for (int i = 0; i < 2; ++i) {
    RmsNormArgs& a = i == 0 ? p.args.first : p.args.second;
    const std::int64_t n = s.rows * s.widths[i];
    a.x = From(x, s.x, begin);
    a.weight = p.buffers->Floats(s.widths[i], 0.3, 1.0);
    p.outputs.push_back(NewOutput(*p.buffers, fmt::format("n{}", i), s.out[i], n,
                                  Relative(s.out[i], NormUlps(s.widths[i]))));
    a.out = p.outputs.back().data;
    a.x_type = s.x;
    a.out_type = s.out[i];
    a.rows = s.rows;
    a.width = s.widths[i];
    a.eps = i == 0 ? 1e-6f : 1e-2f;
    a.x_row = s.row;
    begin += s.widths[i];
    p.bytes += Sum({ByteSize(s.x, n), ByteSize(s.out[i], n), 4 * s.widths[i]});
    p.flops += 4.0 * static_cast<double>(n);
  }
  return p;
}

std::unique_ptr<Suite> DualRmsNormSuite() {
  std::vector<DualShape> shapes;
  for (const std::int64_t t : kTokenCounts) {
    const DType x = t % 2 == 0 ? kB : kF;
    shapes.push_back({t, {24, 8}, 48, 0, x, {kB, t % 3 == 0 ? kF : kB}});
    shapes.push_back({t, {7, 5}, 16, 3, x, {kB, kB}});
  }
  for (const auto& [w0, w1] : {std::pair{1536, 512}, {1024, 512}, {1280, 512}, {8192, 8193}}) {
    shapes.push_back({3, {w0, w1}, w0 + w1 + 64, 0, kB, {kB, kB}});
    shapes.push_back({2, {w0, w1}, w0 + w1, 0, kF, {kB, kF}});
    shapes.push_back({2, {w1, w0}, w0 + w1 + 1, 1, kB, {kB, kB}});
  }
  // DeepSeek-V3 and Kimi-K2, V4-Flash, V4-Pro: what follows the linear layer is f32.
  const auto real = [](std::int64_t t, DType x) {
    return std::vector<DualShape>{{t, {1536, 512}, 2112, 0, x, {kB, kB}, true},
                                  {t, {1024, 512}, 1536, 0, x, {kB, kB}, true},
                                  {t, {1536, 512}, 2048, 0, x, {kB, kB}, true}};
  };
  for (const DualShape& s : real(64, kF)) shapes.push_back(s);
  std::vector<Case<DualRmsNormArgs>> cases;
  for (const DualShape& s : shapes)
    cases.push_back({s.name(), [s] { return MakeDual(s); }, s.bench});
  GpuBench<DualRmsNormArgs> bench;
  for (const std::int64_t t : kBenchTokens) {
    for (const DType x : {kF, kB}) {
      if (t == 64 && x == kF) continue;  // above
      for (const DualShape& s : real(t, x))
        bench.cases.push_back({s.name(), [s] { return MakeDual(s); }, true});
    }
  }
  return MakeSuite("dual_rms_norm", ops::DualRmsNormKernels(), std::move(cases), std::move(bench));
}

// ---- norm_rope

// Largest magnitude of a normed element.
double LargestNormed(const NormRopeArgs& a) {
  const RopeArgs& r = a.rope;
  double largest = 0;
  for (std::int64_t head = 0; head < r.tokens * r.heads; ++head) {
    const std::int64_t at = r.x_at(head / r.heads, head % r.heads);
    double squares = 0;
    double top = 0;
    for (std::int64_t i = 0; i < r.dim; ++i) {
      const double x = Value(r.x, r.x_type, at + i);
      squares += x * x;
      top = std::max(top, std::abs(x * (a.weight != nullptr ? a.weight[i] : 1.0f)));
    }
    const double rs = 1 / std::sqrt(squares / static_cast<double>(r.dim) + a.eps);
    largest = std::max(largest, top * rs);
  }
  return largest;
}

// Two normed elements, each rounded to f32 by the definition too, then three roundings of products
// and sums of both.
Bound NormRopeBound(const NormRopeArgs& a) {
  const double error = (NormUlps(a.rope.dim) + 1 + 3) * kF32Eps * 2 * LargestNormed(a);
  return [error, type = a.rope.out_type](std::int64_t, double expected) {
    return Rounded(type, expected) + error;
  };
}

// Cosines and sines of any angles, [T, P, 2].
const float* MakeAngles(Buffers& buffers, std::int64_t tokens, std::int64_t pairs) {
  auto* table = static_cast<float*>(buffers.Bytes(8 * tokens * pairs));
  for (std::int64_t i = 0; i < tokens * pairs; ++i) {
    const double angle = 6.3 * buffers.Uniform();
    table[2 * i] = static_cast<float>(std::cos(angle));
    table[2 * i + 1] = static_cast<float>(std::sin(angle));
  }
  return table;
}

struct NormRopeShape {
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t pairs = 0;
  DType x = kB;
  DType out = kB;
  RopePairing pairing = RopePairing::kAdjacent;
  bool weighted = false;
  std::int64_t row = 0;    // elements between heads, 0: dim
  std::int64_t begin = 0;  // of the first head in its row
  bool bench = false;

  std::string name() const {
    return fmt::format("T={} H={} D={} P={} {}->{}{}{}{}", tokens, heads, dim, pairs, Short(x),
                       Short(out), pairing == RopePairing::kHalf ? " half" : "",
                       weighted ? " weighted" : "",
                       row > 0 ? fmt::format(" from {} of {}", begin, row) : "");
  }
};

Problem<NormRopeArgs> MakeNormRope(const NormRopeShape& s) {
  Problem<NormRopeArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.tokens * 8191 + s.dim));
  Buffers& b = *p.buffers;
  const std::int64_t n = s.tokens * s.heads * s.dim;
  RopeArgs& r = p.args.rope;
  r.x =
      From(b.Values(s.tokens * s.heads * (s.row > 0 ? s.row : s.dim), s.x, 3.0, 0.5), s.x, s.begin);
  r.table = MakeAngles(b, s.tokens, s.pairs);
  r.x_type = s.x;
  r.out_type = s.out;
  r.tokens = s.tokens;
  r.heads = s.heads;
  r.dim = s.dim;
  r.pairs = s.pairs;
  r.pairing = s.pairing;
  r.x_row = s.row;
  p.args.weight = s.weighted ? b.Floats(s.dim, 0.3, 1.0) : nullptr;
  p.args.eps = 1e-6f;
  p.outputs = {NewOutput(b, "out", s.out, n, NormRopeBound(p.args))};
  r.out = p.outputs[0].data;
  p.bytes = Sum(
      {ByteSize(s.x, n), ByteSize(s.out, n), 8 * s.tokens * s.pairs, s.weighted ? 4 * s.dim : 0});
  p.flops = 4.0 * static_cast<double>(n) + 6.0 * static_cast<double>(s.tokens * s.heads * s.pairs);
  return p;
}

std::unique_ptr<Suite> NormRopeSuite() {
  constexpr RopePairing kHalf = RopePairing::kHalf;
  constexpr RopePairing kAdjacent = RopePairing::kAdjacent;
  std::vector<NormRopeShape> shapes = {
      {2, 3, 19, 5, kB, kF, kAdjacent, true},
      {2, 3, 19, 5, kF, kB, kHalf, true, 23, 3},
      {3, 1, 2, 1, kF, kF},
      {3, 5, 64, 32, kF, kB, kHalf, true},
      {4, 2, 40, 20, kF, kF, kHalf},  // no eights of pairs
      {5, 7, 48, 8, kB, kB, kHalf, true, 56, 8},
      {2, 9, 96, 16, kB, kF, kAdjacent, true, 104, 8},
      {33, 2, 576, 32, kB, kB},
      {1, 2, 8192, 64, kB, kB, kHalf, true},
      {2, 1, 8200, 32, kB, kB, kAdjacent, true},
      {1, 1, 8193, 16, kF, kB, kHalf},
      {1, 64, 512, 32, kF, kB, kAdjacent, false, 0, 0, true},
      {16, 64, 128, 64, kB, kB, kHalf, true, 0, 0, true},
  };
  for (const std::int64_t t : kTokenCounts) {
    const DType x = t % 2 == 0 ? kB : kF;
    shapes.push_back({t, 1, 24, 8, x, kB, kHalf, true, 40, 8});
    shapes.push_back({t, 2, 8, 4, x, kB, kAdjacent, false});
  }
  std::vector<Case<NormRopeArgs>> cases;
  for (const NormRopeShape& s : shapes)
    cases.push_back({s.name(), [s] { return MakeNormRope(s); }, s.bench});
  GpuBench<NormRopeArgs> bench;
  const auto add = [&](const NormRopeShape& s) {
    bench.cases.push_back({s.name(), [s] { return MakeNormRope(s); }, true});
  };
  for (const std::int64_t t : kBenchTokens) {
    if (t > 1) add({t, 64, 512, 32, kF, kB});  // V4-Flash
    add({t, 64, 512, 32, kB, kB});
    if (t <= 1024) add({t, 128, 512, 32, kF, kB});  // V4-Pro
    add({t, 64, 128, 64, kB, kB, kHalf, true});     // Qwen3-32B
  }
  return MakeSuite("norm_rope", ops::NormRopeKernels(), std::move(cases), std::move(bench));
}

// ---- norm_rope_write

struct NormRopeWriteShape {
  Step step = {};
  std::int64_t heads = 0;
  std::int64_t key_heads = 0;
  std::int64_t dim = 0;
  std::int64_t pairs = 0;
  std::int64_t capacity = 0;
  DType x = kB;      // of q and k
  DType state = kB;  // of v, too
  RopePairing pairing = RopePairing::kHalf;
  bool merged = false;  // q, k and v side by side in one projection of one type
  bool bench = false;

  std::string name() const {
    return fmt::format("{} H={}|{} D={} P={} capacity={} {}->{}{}{}", ToString(step), heads,
                       key_heads, dim, pairs, capacity, Short(x), Short(state),
                       pairing == RopePairing::kHalf ? " half" : "", merged ? " merged" : "");
  }
};

Problem<NormRopeWriteArgs> MakeNormRopeWrite(const NormRopeWriteShape& s) {
  Problem<NormRopeWriteArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.capacity * 8191 + s.dim));
  Buffers& b = *p.buffers;
  NormRopeWriteArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  const std::int64_t wq = s.heads * s.dim;
  const std::int64_t wk = s.key_heads * s.dim;
  const std::int64_t row = wq + 2 * wk;
  const float* table = MakeAngles(b, tokens, s.pairs);
  const auto fill = [&](NormRopeArgs& side, std::int64_t heads, DType out, float eps) {
    side.rope = {.table = table,
                 .x_type = s.x,
                 .out_type = out,
                 .tokens = tokens,
                 .heads = heads,
                 .dim = s.dim,
                 .pairs = s.pairs,
                 .pairing = s.pairing};
    side.weight = b.Floats(s.dim, 0.3, 1.0);
    side.eps = eps;
    if (s.merged) side.rope.x_token = row;
  };
  fill(a.q, s.heads, kB, 1e-6f);
  fill(a.k, s.key_heads, s.state, 1e-3f);
  if (s.merged) {
    a.q.rope.x = b.Values(tokens * row, s.x, 2.0, 0.5);
    a.k.rope.x = From(a.q.rope.x, s.x, wq);
    a.v = From(a.q.rope.x, s.x, wq + wk);
    a.v_row = row;
  } else {
    a.q.rope.x = b.Values(tokens * wq, s.x, 2.0, 0.5);
    a.k.rope.x = b.Values(tokens * wk, s.x, 2.0, 0.5);
    a.v = b.Values(tokens * wk, s.state, 1.0);
    a.v_row = wk;
  }
  a.keys = MakeState(b, s.step, s.capacity, wk, s.state);
  a.values = MakeState(b, s.step, s.capacity, wk, s.state);
  a.batch = MakeBatch(b, s.step);
  const std::int64_t kept = (static_cast<std::int64_t>(s.step.size()) + 1) * s.capacity * wk;
  p.outputs = {NewOutput(b, "q", kB, tokens * wq, NormRopeBound(a.q)),
               {"keys", a.keys.data, s.state, kept, NormRopeBound(a.k)},
               {"values", a.values.data, s.state, kept, {}}};
  a.q.rope.out = p.outputs[0].data;
  p.bytes = Sum({ByteSize(s.x, tokens * (wq + wk)), ByteSize(kB, tokens * wq),
                 3 * ByteSize(s.state, tokens * wk), 8 * tokens * s.pairs, 8 * s.dim});
  p.flops = 7.0 * static_cast<double>(tokens * (wq + wk));
  return p;
}

std::unique_ptr<Suite> NormRopeWriteSuite() {
  constexpr RopePairing kAdjacent = RopePairing::kAdjacent;
  constexpr RopePairing kHalf = RopePairing::kHalf;
  std::vector<NormRopeWriteShape> shapes = {
      {{}, 2, 1, 16, 8, 5},
      {{{0, 1}}, 1, 1, 2, 1, 1, kF, kF, kAdjacent},
      {{{0, 3}, {4, 5}, {12, 17}, {2, 0}, {1000, 1}}, 6, 2, 24, 8, 5, kB, kB, kHalf, true},
      {{{0, 3}, {4, 5}, {12, 17}, {2, 0}, {1000, 1}}, 3, 3, 19, 5, 7, kF, kB, kAdjacent},
      {{{127, 2}, {0, 129}}, 4, 1, 32, 16, 128, kF, kF, kHalf, true},
      {{{60, 65}, {0, 33}, {31, 1}}, 2, 2, 40, 12, 64, kB, kF, kHalf},
      {{{0, 65537}, {5, 90000}}, 1, 1, 8, 4, 16, kB, kB, kHalf, true},
      {{{100, 1}, {7, 3}}, 64, 8, 128, 64, 256, kB, kB, kHalf, false, true},
  };
  std::vector<Case<NormRopeWriteArgs>> cases;
  for (const NormRopeWriteShape& s : shapes)
    cases.push_back({s.name(), [s] { return MakeNormRopeWrite(s); }, s.bench});
  GpuBench<NormRopeWriteArgs> bench;
  for (const std::int64_t t : kBenchTokens) {
    const Step step = t == 64 ? Step(64, {900, 1}) : Step{{100, t}};
    for (const bool merged : {false, true}) {
      const NormRopeWriteShape s = {step, 64, 8, 128, 64, 4200, kB, kB, kHalf, merged};
      // The name would list 64 sequences.
      bench.cases.push_back({fmt::format("Qwen3-32B T={}{}", t, merged ? " merged" : ""),
                             [s] { return MakeNormRopeWrite(s); }, true});
    }
  }
  return MakeSuite("norm_rope_write", ops::NormRopeWriteKernels(), std::move(cases),
                   std::move(bench));
}

// ---- rope_write

struct RopeWriteShape {
  Step step = {};
  std::int64_t width = 0;  // of c
  std::int64_t pairs = 0;
  std::int64_t capacity = 0;
  DType k_pe = kB;
  DType state = kB;
  std::int64_t c_row = 0;     // 0: packed
  std::int64_t k_pe_row = 0;  // 0: packed
  RopePairing pairing = RopePairing::kAdjacent;
  bool bench = false;

  std::string name() const {
    return fmt::format("{} {}|{} capacity={} {}->{}{}{}", ToString(step), width, 2 * pairs,
                       capacity, Short(k_pe), Short(state),
                       pairing == RopePairing::kHalf ? " half" : "",
                       c_row + k_pe_row > 0 ? " columns" : "");
  }
};

Problem<RopeWriteArgs> MakeRopeWrite(const RopeWriteShape& s) {
  Problem<RopeWriteArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.capacity * 8191 + s.width));
  Buffers& b = *p.buffers;
  RopeWriteArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  const std::int64_t dim = 2 * s.pairs;
  a.c_width = s.width;
  a.c_row = s.c_row > 0 ? s.c_row : s.width;
  a.c = b.Values(tokens * a.c_row, s.state, 1.0);
  const std::int64_t row = s.k_pe_row > 0 ? s.k_pe_row : dim;
  const void* k_pe = b.Values(tokens * row, s.k_pe, 1.0);
  a.k_pe = {.x = From(k_pe, s.k_pe, row - dim),
            .table = MakeAngles(b, tokens, s.pairs),
            .x_type = s.k_pe,
            .out_type = s.state,
            .tokens = tokens,
            .heads = 1,
            .dim = dim,
            .pairs = s.pairs,
            .pairing = s.pairing,
            .x_row = s.k_pe_row};
  const std::int64_t width = s.width + dim;
  a.latent = MakeState(b, s.step, s.capacity, width, s.state);
  a.batch = MakeBatch(b, s.step);
  Magnitude largest;
  largest.Add(k_pe, s.k_pe, tokens, row);
  const double error = 3 * kF32Eps * 2 * largest.element;  // as of rope
  const auto bound = [=, at = s.width, state = s.state](std::int64_t i, double expected) {
    return i % width < at ? 0.0 : Rounded(state, expected) + error;
  };
  const auto slots = static_cast<std::int64_t>(s.step.size()) + 1;
  p.outputs = {{"latent", a.latent.data, s.state, slots * s.capacity * width, bound}};
  p.bytes = Sum({2 * ByteSize(s.state, tokens * s.width), ByteSize(s.k_pe, tokens * dim),
                 ByteSize(s.state, tokens * dim), 8 * tokens * s.pairs});
  p.flops = 6.0 * static_cast<double>(tokens * s.pairs);
  return p;
}

std::unique_ptr<Suite> RopeWriteSuite() {
  constexpr RopePairing kHalf = RopePairing::kHalf;
  std::vector<RopeWriteShape> shapes = {
      {{}, 16, 4, 5},
      {{{0, 1}}, 1, 1, 1, kF, kF},
      {{{0, 3}, {4, 5}, {12, 17}, {2, 0}, {1000, 1}}, 33, 4, 5, kB, kB, 40, 11},
      {{{127, 2}, {0, 129}}, 24, 8, 128, kF, kB, 0, 48},
      {{{60, 65}, {0, 33}, {31, 1}}, 24, 8, 64, kF, kF, 40, 40, kHalf},
      {{{0, 65537}, {5, 90000}}, 8, 4, 16, kF, kB},
      {{{100, 1}, {7, 3}}, 512, 32, 256, kF, kB, 0, 2112, RopePairing::kAdjacent, true},
  };
  std::vector<Case<RopeWriteArgs>> cases;
  for (const RopeWriteShape& s : shapes)
    cases.push_back({s.name(), [s] { return MakeRopeWrite(s); }, s.bench});
  GpuBench<RopeWriteArgs> bench;
  for (const std::int64_t t : kBenchTokens) {
    const Step step = t == 64 ? Step(64, {900, 1}) : Step{{100, t}};
    const RopeWriteShape s = {step, 512, 32, 4200, kF, kB, 0, 2112};
    bench.cases.push_back(
        {fmt::format("DeepSeek-V3 T={}", t), [s] { return MakeRopeWrite(s); }, true});
  }
  return MakeSuite("rope_write", ops::RopeWriteKernels(), std::move(cases), std::move(bench));
}

}  // namespace

void AddNormRopeSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(DualRmsNormSuite());
  to.push_back(NormRopeSuite());
  to.push_back(NormRopeWriteSuite());
  to.push_back(RopeWriteSuite());
}

}  // namespace birkhoff::harness
