#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "harness/steps.h"
#include "harness/typed_suite.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

// ---- attention

struct AttentionShape {
  Step step = {};
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t window = 0;
  std::int64_t ratio = 0;
  std::int64_t topk = 0;  // 0: every entry
  DType type = kB;
  DType out = kB;
  bool bench = false;
};

std::int64_t VisibleEntries(const AttentionShape& s, std::int64_t position) {
  if (s.ratio == 0) return 0;
  const std::int64_t n = (position + 1) / s.ratio;
  return s.topk > 0 ? std::min(n, s.topk) : n;
}

// A different ascending subset for every token.
std::int32_t* MakeSelected(Buffers& buffers, const AttentionShape& s) {
  auto* selected = static_cast<std::int32_t*>(buffers.Bytes(Tokens(s.step) * s.topk * 4));
  std::int32_t* row = selected;
  for (const Sequence& q : s.step) {
    for (std::int64_t t = 0; t < q.count; ++t, row += s.topk) {
      const std::int64_t visible = (q.past + t + 1) / s.ratio;
      std::int64_t wanted = std::min(s.topk, visible);
      std::int32_t* next = row;
      for (std::int64_t w = 0; w < visible; ++w) {
        const std::int64_t left = visible - w;
        if (static_cast<std::int64_t>(buffers.Next() % static_cast<std::uint64_t>(left)) >= wanted)
          continue;
        *next++ = static_cast<std::int32_t>(w);
        --wanted;
      }
    }
  }
  return selected;
}

// Only what the contract lets a kernel read is written; the rest of the state stays poison.
Magnitude FillAttentionState(Buffers& buffers, const AttentionShape& s, const AttentionArgs& a) {
  Magnitude keys;
  for (std::size_t i = 0; i < s.step.size(); ++i) {
    const Sequence& q = s.step[i];
    const std::int64_t first = std::max<std::int64_t>(0, q.past - s.window + 1);
    const void* ring = buffers.Values((q.past - first) * s.dim, s.type, 1.0);
    WriteRows(a.window_ring, a.batch.slot[i], first, q.past, ring, s.type);
    keys.Add(ring, s.type, q.past - first, s.dim);
    if (s.ratio == 0) continue;
    const std::int64_t entries = (q.past + q.count) / s.ratio;
    const void* rows = buffers.Values(entries * s.dim, s.type, 1.0);
    WriteRows(a.entries, a.batch.slot[i], 0, entries, rows, s.type);
    keys.Add(rows, s.type, entries, s.dim);
  }
  return keys;
}

// With A >= scale |q| |key| (Cauchy-Schwarz) and n keys: a score is off by at most (D/16 + 6) u A,
// its distance to the maximum by a rounding of 2 A more, its exponential by 2 u; so P by twice the
// sum of these and the n + 1 additions of the denominator. The weighted sum adds n roundings, its
// normalisation three.
Problem<AttentionArgs> MakeAttention(const AttentionShape& s) {
  Problem<AttentionArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.heads * 8191 + s.dim));
  Buffers& buffers = *p.buffers;
  AttentionArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  std::int64_t longest = 0;
  double visible = 0;
  for (const Sequence& q : s.step) {
    longest = std::max(longest, q.past + q.count);
    for (std::int64_t t = q.past; t < q.past + q.count; ++t)
      visible += static_cast<double>(VisibleEntries(s, t) + std::min(t + 1, s.window));
  }
  a.batch = MakeBatch(buffers, s.step);
  a.type = s.type;
  a.out_type = s.out;
  a.tokens = tokens;
  a.heads = s.heads;
  a.dim = s.dim;
  a.window = s.window;
  a.ratio = s.ratio;
  a.topk = s.topk;
  a.max_entries = s.ratio > 0 ? longest / s.ratio : 0;
  a.scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  a.q = buffers.Values(tokens * s.heads * s.dim, s.type, 1.5);
  a.kv = buffers.Values(tokens * s.dim, s.type, 1.0);
  a.sink = buffers.Floats(s.heads, 2.0);
  a.window_ring = MakeState(buffers, s.step, s.window + 3, s.dim, s.type);
  if (s.ratio > 0) a.entries = MakeState(buffers, s.step, a.max_entries + 1, s.dim, s.type);
  if (s.topk > 0) a.selected = MakeSelected(buffers, s);
  a.out = buffers.Bytes(tokens * s.heads * s.dim * Bytes(s.out));

  Magnitude keys = FillAttentionState(buffers, s, a);
  keys.Add(a.kv, s.type, tokens, s.dim);
  Magnitude queries;
  queries.Add(a.q, s.type, tokens * s.heads, s.dim);
  Magnitude sinks;
  sinks.Add(a.sink, kF, 1, s.heads);
  const double score = std::max<double>(a.scale * queries.row * keys.row, sinks.element);
  const double n = static_cast<double>(s.window + VisibleEntries(s, longest));
  const double weight = (static_cast<double>(s.dim) / 16 + 8) * score + 2;
  const double error = keys.element * kF32Eps * (2 * weight + 2 * n + 6);
  p.outputs = {{"out", a.out, s.out, tokens * s.heads * s.dim, [=](std::int64_t, double expected) {
                  return error + 2 * HalfUlp(s.out) * std::abs(expected);
                }}};
  const double row = static_cast<double>(s.dim * Bytes(s.type));
  p.bytes = row * (visible + static_cast<double>(tokens * s.heads)) +
            static_cast<double>(tokens * s.heads * s.dim * Bytes(s.out));
  p.flops = 4.0 * visible * static_cast<double>(s.heads * s.dim);
  return p;
}

std::unique_ptr<Suite> AttentionSuite() {
  std::vector<Case<AttentionArgs>> cases;
  for (const AttentionShape& s : {
           AttentionShape{{}, 4, 32, 5},
           AttentionShape{{{0, 0}}, 4, 32, 5},
           AttentionShape{{{0, 1}}, 1, 1, 1, 0, 0, kF, kF},
           AttentionShape{{{0, 7}, {3, 2}, {40, 1}}, 3, 17, 5, 0, 0, kB, kF},
           AttentionShape{{{0, 9}, {11, 6}}, 5, 24, 5, 4, 0, kF, kF},
           AttentionShape{{{0, 9}, {6, 30}, {17, 0}, {80, 2}}, 8, 48, 5, 4, 3, kB, kB},
           AttentionShape{{{21, 3}, {0, 3}}, 2, 100, 7, 4, 1, kF, kB},
           AttentionShape{{{126, 3}}, 2, 16, 128, 128, 0, kB, kF},
           AttentionShape{{{500, 1}, {127, 1}, {128, 1}}, 20, 40, 128, 128, 0, kB, kB},
           AttentionShape{{{63, 9}}, 17, 33, 16, 8, 0, kF, kF},
           AttentionShape{{{2000, 1}}, 64, 512, 128, 4, 32, kB, kB, true},
           AttentionShape{{{896, 24}}, 8, 128, 128, 4, 96, kB, kB, true},
       }) {
    cases.push_back(
        {fmt::format("{} H={} D={} window={} ratio={} topk={} {}->{}", ToString(s.step), s.heads,
                     s.dim, s.window, s.ratio, s.topk, Short(s.type), Short(s.out)),
         [s] { return MakeAttention(s); }, s.bench});
  }
  return MakeSuite("attention", ops::AttentionKernels(), std::move(cases));
}

// ---- compress

struct CompressShape {
  Step step = {};
  std::int64_t dim = 0;
  std::int64_t ratio = 0;
  std::int64_t pairs = 0;
  DType type = kB;
  bool precise = false;
  bool bench = false;
};

// k of one sign per channel and of a magnitude in [0.5, 1.5], so that the pooled vector is too.
const float* MakeKeys(Buffers& buffers, std::int64_t rows, std::int64_t width) {
  auto* k = static_cast<float*>(buffers.Bytes(rows * width * 4));
  for (std::int64_t i = 0; i < rows * width; ++i)
    k[i] = static_cast<float>((i % width % 3 == 0 ? -1 : 1) * (0.5 + buffers.Uniform()));
  return k;
}

void FillCompressRings(Buffers& buffers, const CompressShape& s, const CompressArgs& a) {
  for (std::size_t i = 0; i < s.step.size(); ++i) {
    const std::int64_t past = s.step[i].past;
    const std::int64_t window = past / s.ratio * s.ratio;
    const std::int64_t first = std::max<std::int64_t>(0, window - (a.overlap ? s.ratio : 0));
    const std::int64_t width = a.k_ring.width;
    WriteRows(a.k_ring, a.batch.slot[i], first, past, MakeKeys(buffers, past - first, width), kF);
    WriteRows(a.z_ring, a.batch.slot[i], first, past, buffers.Floats((past - first) * width, 2.0),
              kF);
  }
}

// The pooled v of n slots is off by at most d = 1.5 (2 (Z + 3) + 2 n + 3) u, Z the range of z. Its
// elements are at most three times its root mean square, which is at least 0.5; so v times its
// reciprocal is off by 2 d + 3 (2 d + (D/32 + 8) u), times the norm weight. The rotation adds two
// such errors and four roundings of a result below 6.
Problem<CompressArgs> MakeCompress(const CompressShape& s) {
  Problem<CompressArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.ratio * 8191 + s.dim));
  Buffers& buffers = *p.buffers;
  CompressArgs& a = p.args;
  a.overlap = s.ratio == 4;
  const std::int64_t parts = a.overlap ? 2 : 1;
  const std::int64_t width = parts * s.dim;
  const std::int64_t tokens = Tokens(s.step);
  std::int64_t longest = 0;
  for (const Sequence& q : s.step) longest = std::max(longest, q.past + q.count);
  a.batch = MakeBatch(buffers, s.step);
  a.type = s.type;
  a.tokens = tokens;
  a.dim = s.dim;
  a.ratio = s.ratio;
  a.pairs = s.pairs;
  a.precise = s.precise;
  a.k = MakeKeys(buffers, tokens, width);
  a.g = buffers.Floats(tokens * width, 2.0);
  a.ape = buffers.Floats(s.ratio * width, 1.0);
  a.norm = buffers.Floats(s.dim, 0.1, 1.0);
  auto* frequency = static_cast<double*>(buffers.Bytes(8 * s.pairs));
  for (std::int64_t i = 0; i < s.pairs; ++i)
    frequency[i] = std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(s.pairs));
  a.frequency = frequency;
  const std::int64_t capacity = parts * s.ratio + 3;
  a.k_ring = MakeState(buffers, s.step, capacity, width, kF);
  a.z_ring = MakeState(buffers, s.step, capacity, width, kF);
  a.entries = MakeState(buffers, s.step, longest / s.ratio + 1, s.dim, s.type);
  FillCompressRings(buffers, s, a);

  const auto slots = static_cast<std::int64_t>(s.step.size()) + 1;
  Magnitude norm;
  norm.Add(a.norm, kF, 1, s.dim);
  constexpr double kRange = 40;  // of z: six deviations to either side
  const double pooled =
      1.5 * kF32Eps * (2 * (kRange + 3) + 2 * static_cast<double>(parts * s.ratio) + 3);
  const double normed =
      norm.element * (8 * pooled + 3 * (static_cast<double>(s.dim) / 32 + 8) * kF32Eps);
  const double error = 2 * normed + 24 * norm.element * kF32Eps;
  p.outputs = {{"entries", a.entries.data, s.type, slots * a.entries.capacity * s.dim,
                [=](std::int64_t, double expected) {
                  return error + 2 * HalfUlp(s.type) * std::abs(expected);
                }},
               {"k_ring", a.k_ring.data, kF, slots * capacity * width, {}},
               {"z_ring", a.z_ring.data, kF, slots * capacity * width, {}}};
  p.bytes = 16.0 * static_cast<double>(tokens * width);
  p.flops = 24.0 * static_cast<double>(tokens * width);
  return p;
}

std::unique_ptr<Suite> CompressSuite() {
  std::vector<Case<CompressArgs>> cases;
  for (const CompressShape& s : {
           CompressShape{{}, 32, 4, 4},
           CompressShape{{{0, 3}}, 32, 4, 4},
           CompressShape{{{0, 13}, {5, 1}, {7, 1}, {3, 30}}, 24, 4, 3, kF},
           CompressShape{{{7, 9}, {0, 0}, {100003, 4}}, 33, 4, 16, kB, true},
           CompressShape{{{0, 5}, {1, 1}}, 7, 1, 2, kF},
           CompressShape{{{0, 5}, {1, 1}}, 16, 2, 8, kB},
           CompressShape{{{0, 17}, {15, 1}, {6, 12}}, 40, 8, 4, kF, true},
           CompressShape{{{0, 300}, {127, 1}, {200, 56}}, 20, 128, 8, kB},
           CompressShape{{{1024, 64}}, 512, 4, 32, kB, false, true},
           CompressShape{{{1151, 1}}, 512, 128, 32, kB, false, true},
       }) {
    cases.push_back({fmt::format("{} D={} ratio={} P={} {}{}", ToString(s.step), s.dim, s.ratio,
                                 s.pairs, Short(s.type), s.precise ? " precise" : ""),
                     [s] { return MakeCompress(s); }, s.bench});
  }
  return MakeSuite("compress", ops::CompressKernels(), std::move(cases));
}

// ---- index_topk

struct IndexTopkShape {
  Step step = {};
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::int64_t ratio = 0;
  std::int64_t topk = 0;
  DType type = kB;
  bool bench = false;
};

void* MakeIntegers(Buffers& buffers, std::int64_t count, DType type) {
  void* data = buffers.Bytes(count * Bytes(type));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<float>(static_cast<int>(buffers.Next() % 5) - 2);
    if (type == kB) {
      static_cast<bf16*>(data)[i] = bf16(x);
    } else {
      static_cast<float*>(data)[i] = x;
    }
  }
  return data;
}

// Small integers and a power of two as scale make every score exact in f32, so that the choice, and
// above all the choice between equal scores, must be the definition's.
Problem<IndexTopkArgs> MakeIndexTopk(const IndexTopkShape& s) {
  Problem<IndexTopkArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.heads * 8191 + s.topk));
  Buffers& buffers = *p.buffers;
  IndexTopkArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  std::int64_t longest = 0;
  for (const Sequence& q : s.step) longest = std::max(longest, q.past + q.count);
  a.batch = MakeBatch(buffers, s.step);
  a.type = s.type;
  a.tokens = tokens;
  a.heads = s.heads;
  a.dim = s.dim;
  a.ratio = s.ratio;
  a.topk = s.topk;
  a.max_entries = longest / s.ratio;
  a.scale = 0.125f;
  a.q = MakeIntegers(buffers, tokens * s.heads * s.dim, s.type);
  a.weight = static_cast<const float*>(MakeIntegers(buffers, tokens * s.heads, kF));
  a.keys = MakeState(buffers, s.step, a.max_entries + 1, s.dim, s.type);
  double scored = 0;
  for (std::size_t i = 0; i < s.step.size(); ++i) {
    const Sequence& q = s.step[i];
    const std::int64_t entries = (q.past + q.count) / s.ratio;
    WriteRows(a.keys, a.batch.slot[i], 0, entries, MakeIntegers(buffers, entries * s.dim, s.type),
              s.type);
    scored += static_cast<double>(entries * q.count);
  }
  a.selected = static_cast<std::int32_t*>(buffers.Bytes(tokens * s.topk * 4));
  p.outputs = {{"selected", a.selected, DType::kI32, tokens * s.topk, {}}};
  p.bytes = scored * static_cast<double>(s.dim * Bytes(s.type));
  p.flops = 2.0 * scored * static_cast<double>(s.heads * s.dim);
  return p;
}

std::unique_ptr<Suite> IndexTopkSuite() {
  std::vector<Case<IndexTopkArgs>> cases;
  for (const IndexTopkShape& s : {
           IndexTopkShape{{}, 4, 16, 4, 3},
           IndexTopkShape{{{0, 5}}, 4, 16, 4, 3},
           IndexTopkShape{{{0, 30}, {100, 3}, {64, 1}}, 3, 17, 4, 5, kF},
           IndexTopkShape{{{0, 40}}, 1, 8, 2, 1, kB},
           IndexTopkShape{{{400, 2}, {0, 2}}, 16, 20, 1, 100, kF},
           IndexTopkShape{{{63, 12}, {260, 4}}, 8, 32, 4, 16, kB},
           IndexTopkShape{{{9000, 1}}, 8, 64, 4, 96, kB, true},
           IndexTopkShape{{{2200, 1}}, 64, 128, 4, 512, kB, true},
       }) {
    cases.push_back({fmt::format("{} H={} D={} ratio={} topk={} {}", ToString(s.step), s.heads,
                                 s.dim, s.ratio, s.topk, Short(s.type)),
                     [s] { return MakeIndexTopk(s); }, s.bench});
  }
  return MakeSuite("index_topk", ops::IndexTopkKernels(), std::move(cases));
}

// ---- kv_write

struct KvWriteShape {
  Step step = {};
  std::int64_t capacity = 0;
  std::int64_t width = 0;
  DType type = kB;
  bool bench = false;
};

Problem<KvWriteArgs> MakeKvWrite(const KvWriteShape& s) {
  Problem<KvWriteArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.capacity * 8191 + s.width));
  KvWriteArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  a.batch = MakeBatch(*p.buffers, s.step);
  a.type = s.type;
  a.width = s.width;
  a.kv = p.buffers->Values(tokens * s.width, s.type, 1.0);
  a.ring = MakeState(*p.buffers, s.step, s.capacity, s.width, s.type);
  const auto slots = static_cast<std::int64_t>(s.step.size()) + 1;
  p.outputs = {{"ring", a.ring.data, s.type, slots * s.capacity * s.width, {}}};
  p.bytes = 2.0 * static_cast<double>(tokens * s.width * Bytes(s.type));
  return p;
}

std::unique_ptr<Suite> KvWriteSuite() {
  std::vector<Case<KvWriteArgs>> cases;
  for (const KvWriteShape& s : {
           KvWriteShape{{}, 5, 16},
           KvWriteShape{{{0, 1}}, 1, 1, kF},
           KvWriteShape{{{0, 3}, {4, 5}, {12, 17}, {2, 0}, {1000, 1}}, 5, 33, kB},
           KvWriteShape{{{127, 2}, {0, 300}}, 128, 24, kF},
           KvWriteShape{{{100, 512}}, 131, 512, kB, true},
       }) {
    cases.push_back({fmt::format("{} capacity={} D={} {}", ToString(s.step), s.capacity, s.width,
                                 Short(s.type)),
                     [s] { return MakeKvWrite(s); }, s.bench});
  }
  return MakeSuite("kv_write", ops::KvWriteKernels(), std::move(cases));
}

}  // namespace

void AddAttentionSuites(std::vector<std::unique_ptr<Suite>>& to) {
  to.push_back(AttentionSuite());
  to.push_back(CompressSuite());
  to.push_back(IndexTopkSuite());
  to.push_back(KvWriteSuite());
}

}  // namespace birkhoff::harness
