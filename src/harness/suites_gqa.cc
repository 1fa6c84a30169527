#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/steps.h"
#include "harness/typed_suite.h"
#include "ops/tables.h"

namespace birkhoff::harness {
namespace {

struct Shape {
  Step step = {};
  std::int64_t heads = 0;
  std::int64_t key_heads = 1;
  std::int64_t dim = 0;
  std::int64_t value_dim = 0;
  bool latent = false;
  DType type = kB;
  DType out = kB;
  bool bench = false;
  std::int64_t spare = 1;  // rows of the state behind the longest sequence
};

std::string ToString(const Shape& s) {
  return fmt::format("{} H={} G={} D={} Dv={}{} {}->{}", ToString(s.step), s.heads, s.key_heads,
                     s.dim, s.value_dim, s.latent ? " latent" : "", Short(s.type), Short(s.out));
}

// Rows for the positions that there are after the step; the rest of the state stays poison.
StateRows MakeRows(Buffers& buffers, const Shape& s, const SequenceBatch& batch,
                   std::int64_t capacity, std::int64_t dim, Magnitude& magnitude) {
  const StateRows state = MakeState(buffers, s.step, capacity, s.key_heads * dim, s.type);
  for (std::size_t i = 0; i < s.step.size(); ++i) {
    const std::int64_t end = s.step[i].past + s.step[i].count;
    const void* rows = buffers.Values(end * state.width, s.type, 1.0);
    WriteRows(state, batch.slot[i], 0, end, rows, s.type);
    magnitude.Add(rows, s.type, end * s.key_heads, dim);
  }
  return state;
}

// With A >= scale |q| |key| (Cauchy-Schwarz), n keys and b blocks: a score is off by at most (D/16
// + 6) u A, its distance to the maximum by a rounding of 2 A more, its exponential by 2 u. So are
// the factors of later blocks, whose arguments add up to 2 A at most and which are multiplied with
// a rounding each. P is off by twice the sum of these and the n + 1 additions of the denominator.
// The weighted sum adds n roundings, its normalisation three.
Problem<GqaAttentionArgs> MakeProblem(const Shape& s) {
  Problem<GqaAttentionArgs> p;
  p.buffers = std::make_shared<Buffers>(static_cast<std::uint64_t>(s.heads * 8191 + s.dim));
  Buffers& buffers = *p.buffers;
  GqaAttentionArgs& a = p.args;
  const std::int64_t tokens = Tokens(s.step);
  std::int64_t longest = 0;
  std::int64_t read = 0;     // keys that a token makes a kernel read, those of others left out
  std::int64_t visible = 0;  // of all tokens together
  for (const Sequence& q : s.step) {
    longest = std::max(longest, q.past + q.count);
    if (q.count > 0) read += q.past + q.count;
    visible += q.count * q.past + q.count * (q.count + 1) / 2;
  }
  a.batch = MakeBatch(buffers, s.step);
  a.type = s.type;
  a.out_type = s.out;
  a.tokens = tokens;
  a.heads = s.heads;
  a.key_heads = s.key_heads;
  a.dim = s.dim;
  a.value_dim = s.value_dim;
  a.scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  a.q = buffers.Values(tokens * s.heads * s.dim, s.type, 1.5);
  a.out = buffers.Bytes(tokens * s.heads * s.value_dim * Bytes(s.out));
  Magnitude keys;
  Magnitude values;
  a.keys = MakeRows(buffers, s, a.batch, longest + s.spare, s.dim, keys);
  if (!s.latent) a.values = MakeRows(buffers, s, a.batch, longest + s.spare, s.value_dim, values);
  Magnitude queries;
  queries.Add(a.q, s.type, tokens * s.heads, s.dim);

  const double score = a.scale * queries.row * keys.row;
  const auto n = static_cast<double>(longest);
  const double weight = (static_cast<double>(s.dim) / 16 + 10) * score + 2 + 3 * (n / 32 + 1);
  const double element = s.latent ? keys.element : values.element;
  const double error = element * kF32Eps * (2 * weight + 2 * n + 6);
  p.outputs = {
      {"out", a.out, s.out, tokens * s.heads * s.value_dim, [=](std::int64_t, double expected) {
         return error + 2 * HalfUlp(s.out) * std::abs(expected);
       }}};
  const std::int64_t state_row = s.key_heads * (s.dim + (s.latent ? 0 : s.value_dim));
  p.bytes = static_cast<double>(Bytes(s.type)) *
                (static_cast<double>(read) * static_cast<double>(state_row) +
                 static_cast<double>(tokens * s.heads * s.dim)) +
            static_cast<double>(tokens * s.heads * s.value_dim * Bytes(s.out));
  p.flops =
      2.0 * static_cast<double>(visible) * static_cast<double>(s.heads * (s.dim + s.value_dim));
  return p;
}

}  // namespace

void AddGqaSuites(std::vector<std::unique_ptr<Suite>>& to) {
  std::vector<Case<GqaAttentionArgs>> cases;
  for (const Shape& s : {
           Shape{{}, 4, 2, 32, 32},
           Shape{{{0, 0}}, 4, 2, 32, 32},
           Shape{{{0, 1}}, 1, 1, 1, 1, false, kF, kF},
           Shape{{{0, 2}, {30, 1}}, 6, 2, 17, 9, false, kB, kF},
           Shape{{{16, 15}, {0, 16}, {5, 0}, {31, 17}}, 8, 2, 48, 48, false, kB, kB},
           Shape{{{30, 3}, {0, 33}, {32, 1}}, 4, 2, 24, 24, false, kF, kB, false, 0},
           Shape{{{100, 33}, {63, 1}, {64, 1}, {65, 2}}, 5, 1, 16, 40, false, kF, kF},
           Shape{{{7, 33}}, 3, 3, 24, 16, false, kB, kB},  // a key head for every head
           Shape{{{95, 2}}, 14, 2, 64, 64, false, kF, kB},
           Shape{{{0, 70}}, 4, 4, 20, 12, false, kF, kF},    // blocks that some tokens do not see
           Shape{{{40, 2}}, 130, 1, 16, 16, false, kB, kF},  // more heads than a worker takes
           Shape{{{500, 1}}, 4, 1, 33, 31, true, kF, kF},
           Shape{{{20, 17}, {33, 3}}, 6, 1, 36, 32, true, kB, kB},
           Shape{{{0, 35}}, 4, 2, 40, 24, true, kB, kF},
           Shape{{{4095, 1}}, 16, 2, 128, 128, false, kB, kB, true},  // a quarter of Qwen3-32B
           Shape{{{512, 48}}, 8, 1, 128, 128, false, kB, kB, true},
           Shape{{{1023, 1}}, 32, 1, 576, 512, true, kB, kB, true},
       })
    cases.push_back({ToString(s), [s] { return MakeProblem(s); }, s.bench});
  to.push_back(MakeSuite("gqa_attention", ops::GqaAttentionKernels(), std::move(cases)));
}

}  // namespace birkhoff::harness
