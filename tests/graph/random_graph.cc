#include "random_graph.h"

#include <string>

#include "graph/builder.h"
#include "small_ops.h"

namespace birkhoff::graph {
namespace {

using ops::Const;

constexpr std::int64_t kWidth = 24;

// The values so far that have one shape.
struct Pool {
  ops::Extent rows = {};
  std::vector<Value> flat = {};  // [rows, 24]
  std::vector<Value> cube = {};  // [rows, 4, 6]
};

class Generator {
 public:
  explicit Generator(std::mt19937& random) : random_(random) {}

  Graph Make() {
    const auto site = b_.Site("random");
    Pool tokens{.rows = {1, ops::Symbol::kTokens}};
    Pool rows{.rows = {1, ops::Symbol::kRows}};
    tokens.flat.push_back(b_.Input("x", DType::kF32, {tokens.rows, Const(kWidth)}));
    index_ = b_.Input("index", DType::kI32, {rows.rows});
    const int nodes = 1 + Below(40);
    for (int n = 0; n < nodes; ++n) {
      if (Below(12) == 0) {
        Keep(rows.flat, b_.Op(kPick, {Any(tokens.flat), index_}, {}));
      } else {
        Grow(!rows.flat.empty() && Below(3) == 0 ? rows : tokens);
      }
    }
    const int outputs = 1 + Below(3);
    for (int o = 0; o < outputs; ++o) b_.Output("out" + std::to_string(o), made_[Pick(made_)]);
    return *std::move(b_).Finish();
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::size_t Pick(const std::vector<Value>& from) {
    return static_cast<std::size_t>(Below(static_cast<int>(from.size())));
  }
  Value Any(const std::vector<Value>& from) { return from[Pick(from)]; }

  void Keep(std::vector<Value>& pool, const std::vector<Value>& results) {
    pool.insert(pool.end(), results.begin(), results.end());
    made_.insert(made_.end(), results.begin(), results.end());
  }

  void Grow(Pool& pool) {
    const bool cube = !pool.cube.empty() && Below(2) == 0;
    std::vector<Value>& from = cube ? pool.cube : pool.flat;
    std::vector<Value>& other = cube ? pool.flat : pool.cube;
    // The value made last is chosen often: chains are where memory is taken over.
    const Value x = Below(2) == 0 ? from.back() : Any(from);
    switch (Below(6)) {
      case 0: return Keep(from, b_.Op(kReverse, {x}, {}));
      case 1: return Keep(from, b_.Op(kButterfly, {x, Any(from)}, {}));
      case 2: return Keep(from, {b_.RmsNorm(x, 1e-6, DType::kF32)});
      case 3:
        if (cube) return Keep(other, {b_.Reshape(x, {pool.rows, Const(kWidth)})});
        return Keep(other, {b_.Reshape(x, {pool.rows, Const(4), Const(6)})});
      default: return Keep(from, b_.Op(kAxpy, {x, Any(from)}, {{"by", 0.5}}));
    }
  }

  std::mt19937& random_;
  Builder b_ = {};
  Value index_ = {};
  std::vector<Value> made_ = {};
};

}  // namespace

Graph RandomGraph(std::mt19937& random) { return Generator(random).Make(); }

}  // namespace birkhoff::graph
