// The state of sequences as a whole: whatever the steps, the slots, the neighbours in a step and
// the rejected drafts, a token gives the bits that it gives alone.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernel_rows.h"
#include "ops/tables.h"

namespace birkhoff::ops {
namespace {

constexpr std::int64_t kDrafts = 3;  // longest rewind
constexpr std::int64_t kSlots = 3;
constexpr std::int64_t kHeads = 3;
constexpr std::int64_t kDim = 20;
constexpr std::int64_t kPairs = 4;
constexpr std::int64_t kIndexDim = 17;

struct Config {
  std::int64_t window = 0;
  std::int64_t ratio = 0;  // 0: window only
  std::int64_t topk = 0;   // 0: no indexer
  std::int64_t length = 0;
  std::vector<std::int64_t> chunks = {};  // lengths of steps to draw from

  bool overlap() const { return ratio == 4; }
  std::int64_t parts() const { return overlap() ? 2 : 1; }
  std::int64_t entries() const { return ratio > 0 ? length / ratio + 1 : 0; }
};

using Floats = std::vector<float>;

Floats Random(std::int64_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  Floats values(static_cast<std::size_t>(count));
  for (float& x : values) x = normal(random);
  return values;
}

// What the tokens of one sequence bring to a layer, or the tokens of a step: [T, ...] each.
struct Inputs {
  Inputs() = default;
  Inputs(const Config& c, std::int64_t tokens, std::mt19937& random)
      : q(Random(tokens * kHeads * kDim, random)),
        kv(Random(tokens * kDim, random)),
        k(Random(tokens * c.parts() * kDim, random)),
        g(Random(tokens * c.parts() * kDim, random)),
        index_q(Random(tokens * kHeads * kIndexDim, random)),
        index_weight(Random(tokens * kHeads, random)),
        index_k(Random(tokens * c.parts() * kIndexDim, random)),
        index_g(Random(tokens * c.parts() * kIndexDim, random)) {}

  // Appends tokens [first, first + count) of another.
  void Append(const Inputs& from, std::int64_t first, std::int64_t count, std::int64_t tokens) {
    const auto append = [&](Floats Inputs::*rows) {
      const std::int64_t width = static_cast<std::int64_t>((from.*rows).size()) / tokens;
      const auto begin = (from.*rows).begin() + first * width;
      (this->*rows).insert((this->*rows).end(), begin, begin + count * width);
    };
    for (const auto rows : {&Inputs::q, &Inputs::kv, &Inputs::k, &Inputs::g, &Inputs::index_q,
                            &Inputs::index_weight, &Inputs::index_k, &Inputs::index_g})
      append(rows);
  }

  Floats q, kv, k, g, index_q, index_weight, index_k, index_g;
};

// One layer with its state, which starts as NaNs, run by one kernel of each op.
class Layer {
 public:
  Layer(const Config& config, std::size_t row, ThreadPool& pool)
      : config_(config), row_(row), pool_(pool) {
    std::mt19937 random(7);
    const std::int64_t parts = config.parts();
    ape_ = Random(config.ratio * parts * kDim, random);
    index_ape_ = Random(config.ratio * parts * kIndexDim, random);
    norm_ = Random(kDim, random);
    sink_ = Random(kHeads, random);
    const std::int64_t capacity = parts * config.ratio + kDrafts;
    window_ = State(config.window + kDrafts, kDim);
    for (int i = 0; i < 2; ++i) rings_[i] = State(capacity, parts * kDim);
    for (int i = 0; i < 2; ++i) index_rings_[i] = State(capacity, parts * kIndexDim);
    entries_ = State(config.entries(), kDim);
    keys_ = State(config.entries(), kIndexDim);
  }

  // Runs a step and returns its attention output [T, H, D].
  Floats Step(const SequenceBatch& batch, Inputs& in) {
    const std::int64_t tokens = batch.begin[batch.count];
    Floats out(in.q.size(), 0.0f);
    AttentionArgs a{.q = in.q.data(),
                    .kv = in.kv.data(),
                    .window_ring = {window_.data(), config_.window + kDrafts, kDim},
                    .sink = sink_.data(),
                    .out = out.data(),
                    .batch = batch,
                    .type = DType::kF32,
                    .tokens = tokens,
                    .heads = kHeads,
                    .dim = kDim,
                    .window = config_.window,
                    .ratio = config_.ratio,
                    .topk = config_.topk,
                    .max_entries = config_.entries(),
                    .scale = 0.4f};
    std::vector<std::int32_t> selected(static_cast<std::size_t>(tokens * config_.topk));
    if (config_.ratio > 0) {
      Compress(batch, in.k, in.g, ape_, kDim, rings_, entries_);
      a.entries = {entries_.data(), config_.entries(), kDim};
    }
    if (config_.topk > 0) {
      Compress(batch, in.index_k, in.index_g, index_ape_, kIndexDim, index_rings_, keys_);
      SelectEntries(batch, in, selected);
      a.selected = selected.data();
    }
    Run(AttentionKernels(), a);
    Run(KvWriteKernels(), KvWriteArgs{.kv = in.kv.data(),
                                      .ring = a.window_ring,
                                      .batch = batch,
                                      .type = DType::kF32,
                                      .width = kDim});
    return out;
  }

 private:
  static Floats State(std::int64_t capacity, std::int64_t width) {
    return Floats(static_cast<std::size_t>(kSlots * capacity * width), std::nanf(""));
  }

  template <class Args>
  void Run(std::span<const Kernel<Args>> table, const Args& args) {
    RunRow(table[row_], args, pool_);
  }

  void Compress(const SequenceBatch& batch, const Floats& k, const Floats& g, const Floats& ape,
                std::int64_t dim, Floats (&rings)[2], Floats& entries) {
    const std::int64_t capacity = config_.parts() * config_.ratio + kDrafts;
    const std::int64_t width = config_.parts() * dim;
    const double frequency[kPairs] = {1, 0.5, 0.01, 1e-4};
    Run(CompressKernels(), CompressArgs{.k = k.data(),
                                        .g = g.data(),
                                        .ape = ape.data(),
                                        .norm = norm_.data(),
                                        .frequency = frequency,
                                        .k_ring = {rings[0].data(), capacity, width},
                                        .z_ring = {rings[1].data(), capacity, width},
                                        .entries = {entries.data(), config_.entries(), dim},
                                        .batch = batch,
                                        .type = DType::kF32,
                                        .tokens = batch.begin[batch.count],
                                        .dim = dim,
                                        .ratio = config_.ratio,
                                        .overlap = config_.overlap(),
                                        .pairs = kPairs});
  }

  void SelectEntries(const SequenceBatch& batch, const Inputs& in,
                     std::vector<std::int32_t>& selected) {
    Run(IndexTopkKernels(), IndexTopkArgs{.q = in.index_q.data(),
                                          .weight = in.index_weight.data(),
                                          .keys = {keys_.data(), config_.entries(), kIndexDim},
                                          .selected = selected.data(),
                                          .batch = batch,
                                          .type = DType::kF32,
                                          .tokens = batch.begin[batch.count],
                                          .heads = kHeads,
                                          .dim = kIndexDim,
                                          .ratio = config_.ratio,
                                          .topk = config_.topk,
                                          .max_entries = config_.entries()});
  }

  const Config& config_;
  std::size_t row_ = 0;
  ThreadPool& pool_;
  Floats ape_, index_ape_, norm_, sink_, window_, rings_[2], index_rings_[2], entries_, keys_;
};

Floats TokenByToken(const Config& c, std::size_t row, ThreadPool& pool, const Inputs& sequence) {
  Layer layer(c, row, pool);
  Floats out;
  const std::int32_t begin[] = {0, 1};
  const std::int32_t slot = 1;
  for (std::int64_t t = 0; t < c.length; ++t) {
    Inputs in;
    in.Append(sequence, t, 1, c.length);
    const Floats one = layer.Step({1, begin, &slot, &t}, in);
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

// Runs all sequences through kSlots slots in random steps: some slots rest, some bring tokens that
// are rejected afterwards, a finished sequence leaves its slot as it is to the next.
class RandomSchedule {
 public:
  RandomSchedule(const Config& c, std::size_t row, ThreadPool& pool,
                 const std::vector<Inputs>& sequences, unsigned seed)
      : c_(c), layer_(c, row, pool), sequences_(sequences), random_(seed) {
    outs_.resize(sequences.size());
    for (std::size_t s = 0; s < kSlots; ++s) of_slot_[s] = s;
    next_ = kSlots;
  }

  std::vector<Floats> Run() {
    while (Step()) {
    }
    return outs_;
  }

 private:
  std::int64_t Draw(std::int64_t below) {
    return static_cast<std::int64_t>(random_() % static_cast<unsigned>(below));
  }

  // One step; false when every sequence is done.
  bool Step() {
    Inputs in;
    std::vector<std::int32_t> begin = {0};
    std::vector<std::int32_t> slots;
    std::vector<std::int64_t> past, kept;
    bool left = false;
    for (std::size_t i = 0; i < kSlots; ++i) {
      const std::size_t slot = kSlots - 1 - i;
      if (of_slot_[slot] >= sequences_.size()) continue;
      left = true;
      if (Draw(4) == 0) continue;
      const std::int64_t chunk =
          c_.chunks[static_cast<std::size_t>(Draw(static_cast<std::int64_t>(c_.chunks.size())))];
      const std::int64_t count = std::min(chunk, c_.length - past_[slot]);
      const std::int64_t drafts =
          std::min(Draw(2) * Draw(kDrafts + 1), c_.length - past_[slot] - count);
      in.Append(sequences_[of_slot_[slot]], past_[slot], count, c_.length);
      in.Append(Inputs(c_, drafts + 1, random_), 0, drafts, drafts + 1);
      begin.push_back(begin.back() + static_cast<std::int32_t>(count + drafts));
      slots.push_back(static_cast<std::int32_t>(slot));
      past.push_back(past_[slot]);
      kept.push_back(count);
    }
    const auto sequences = static_cast<std::int64_t>(slots.size());
    const Floats out = layer_.Step({sequences, begin.data(), slots.data(), past.data()}, in);
    for (std::size_t i = 0; i < slots.size(); ++i)
      Keep(static_cast<std::size_t>(slots[i]), out, begin[i], kept[i]);
    return left;
  }

  void Keep(std::size_t slot, const Floats& out, std::int64_t first, std::int64_t count) {
    Floats& to = outs_[of_slot_[slot]];
    const auto begin = out.begin() + first * kHeads * kDim;
    to.insert(to.end(), begin, begin + count * kHeads * kDim);
    past_[slot] += count;
    if (past_[slot] < c_.length) return;
    of_slot_[slot] = next_++;
    past_[slot] = 0;
  }

  const Config& c_;
  Layer layer_;
  const std::vector<Inputs>& sequences_;
  std::mt19937 random_;
  std::vector<Floats> outs_ = {};
  std::size_t of_slot_[kSlots] = {};
  std::int64_t past_[kSlots] = {};
  std::size_t next_ = 0;
};

class Chunking : public testing::TestWithParam<Config> {};

TEST_P(Chunking, DoesNotChangeABit) {
  const Config& c = GetParam();
  std::mt19937 random(3);
  std::vector<Inputs> sequences;
  for (int s = 0; s < 5; ++s) sequences.emplace_back(c, c.length, random);
  ThreadPool pool(2);
  for (std::size_t row = 0; row < AttentionKernels().size(); ++row) {
    SCOPED_TRACE(std::string(AttentionKernels()[row].name));
    if (AttentionKernels()[row].refuses({}, HostDevice())) continue;
    const std::vector<Floats> outs = RandomSchedule(c, row, pool, sequences, 11).Run();
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const Floats alone = TokenByToken(c, row, pool, sequences[s]);
      ASSERT_EQ(alone.size(), outs[s].size());
      EXPECT_EQ(std::memcmp(alone.data(), outs[s].data(), alone.size() * sizeof(float)), 0)
          << "sequence " << s;
      EXPECT_FALSE(std::isnan(alone.back()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Chunking,
    testing::Values(
        Config{.window = 16, .ratio = 0, .length = 60, .chunks = {1, 3, 15, 16, 17}},
        Config{.window = 5, .ratio = 4, .topk = 3, .length = 90, .chunks = {1, 2, 3, 4, 7, 40}},
        Config{.window = 7, .ratio = 4, .length = 50, .chunks = {1, 5, 64}},
        Config{.window = 5, .ratio = 2, .topk = 6, .length = 50, .chunks = {1, 3, 64}},
        Config{
            .window = 128, .ratio = 128, .length = 300, .chunks = {1, 3, 64, 127, 128, 129, 512}}),
    [](const auto& test) {
      return "window" + std::to_string(test.param.window) + "_ratio" +
             std::to_string(test.param.ratio) + "_topk" + std::to_string(test.param.topk);
    });

}  // namespace
}  // namespace birkhoff::ops
