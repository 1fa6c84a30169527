#include "graph/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "graph/print.h"

namespace birkhoff::graph {
namespace {

// Sizes saturate here, far below an overflow of their sums.
constexpr std::int64_t kTooLarge = std::int64_t{1} << 46;

std::int64_t AlignedBytes(const ops::ValueType& type, Counts counts) {
  std::int64_t bytes = static_cast<std::int64_t>(SizeOf(type.dtype));
  for (const ops::Extent& e : type.shape) {
    if (__builtin_mul_overflow(bytes, counts.Of(e), &bytes) || bytes > kTooLarge) return kTooLarge;
  }
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

// The last node that touches the memory of each value that is no view: its producer when nobody
// uses it, nodes.size() for an output.
std::vector<int> LastUses(const Graph& graph) {
  std::vector<int> last(graph.values.size(), -1);
  const auto touch = [&](Value v, std::size_t n) {
    last[static_cast<std::size_t>(Viewed(graph, v).id)] = static_cast<int>(n);
  };
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    for (Value v : graph.nodes[n].in) touch(v, n);
    for (Value v : graph.nodes[n].out) touch(v, n);
  }
  for (const Output& o : graph.outputs) touch(o.value, graph.nodes.size());
  return last;
}

// The value whose memory `result` of node n takes over, or no value.
Value TakesOver(const Graph& graph, const Node& node, int n, int result,
                const std::vector<int>& last) {
  if (node.op->in_place.result != result) return {};
  const Value operand = node.in[static_cast<std::size_t>(node.op->in_place.operand)];
  const Value from = Viewed(graph, operand);
  const bool dies = last[static_cast<std::size_t>(from.id)] == n;
  const bool once = std::count_if(node.in.begin(), node.in.end(),
                                  [&](Value v) { return Viewed(graph, v) == from; }) == 1;
  if (!dies || !once || graph[from].origin != Origin::kResult) return {};
  const Value to = node.out[static_cast<std::size_t>(result)];
  return graph[operand].type == graph[to].type ? from : Value{};
}

// Assigns values to buffers and finds their lifetimes.
void FindBuffers(const Graph& graph, Counts largest, MemoryPlan& plan) {
  const std::vector<int> last = LastUses(graph);
  plan.buffer_of.assign(graph.values.size(), -1);
  for (int n = 0; n < static_cast<int>(graph.nodes.size()); ++n) {
    const Node& node = graph.nodes[static_cast<std::size_t>(n)];
    for (int r = 0; r < static_cast<int>(node.out.size()); ++r) {
      const Value v = node.out[static_cast<std::size_t>(r)];
      if (graph[v].type.kind != ops::Kind::kActivation) continue;
      const Value from = node.op->view ? Viewed(graph, v) : TakesOver(graph, node, n, r, last);
      int& buffer = plan.buffer_of[static_cast<std::size_t>(v.id)];
      if (from.valid()) {
        buffer = plan.buffer_of[static_cast<std::size_t>(from.id)];
      } else {
        buffer = static_cast<int>(plan.buffers.size());
        plan.buffers.push_back({.first = n, .bytes = AlignedBytes(graph[v].type, largest)});
      }
      if (!node.op->view)
        plan.buffers[static_cast<std::size_t>(buffer)].last = last[static_cast<std::size_t>(v.id)];
    }
  }
}

// Largest first, each into the smallest gap between the buffers that live at the same time.
void Place(MemoryPlan& plan) {
  std::vector<Buffer*> order;
  for (Buffer& b : plan.buffers) order.push_back(&b);
  std::stable_sort(order.begin(), order.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
  std::vector<const Buffer*> placed;  // by offset
  for (Buffer* b : order) {
    std::int64_t end = 0;  // of the buffers seen so far
    std::int64_t best_gap = kTooLarge;
    std::int64_t best = -1;
    for (const Buffer* p : placed) {
      if (p->last < b->first || b->last < p->first) continue;
      const std::int64_t gap = p->offset - end;
      if (gap >= b->bytes && gap < best_gap) {
        best_gap = gap;
        best = end;
      }
      end = std::max(end, p->offset + p->bytes);
    }
    b->offset = best >= 0 ? best : end;
    plan.arena_bytes = std::max(plan.arena_bytes, b->offset + b->bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), b,
                         [](const Buffer* x, const Buffer* y) { return x->offset < y->offset; }),
        b);
  }
}

void FindPeak(const Graph& graph, MemoryPlan& plan) {
  std::vector<std::int64_t> change(graph.nodes.size() + 2, 0);  // of the live bytes, per node
  for (const Buffer& b : plan.buffers) {
    change[static_cast<std::size_t>(b.first)] += b.bytes;
    change[static_cast<std::size_t>(b.last) + 1] -= b.bytes;
  }
  std::int64_t live = 0;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    live += change[n];
    if (live > plan.peak_bytes) {
      plan.peak_bytes = live;
      plan.peak_node = static_cast<int>(n);
    }
  }
}

}  // namespace

Value Viewed(const Graph& graph, Value v) {
  while (graph[v].producer >= 0) {
    const Node& node = graph.nodes[static_cast<std::size_t>(graph[v].producer)];
    if (!node.op->view) break;
    v = node.in[0];
  }
  return v;
}

std::int64_t OffsetInViewed(const Graph& graph, Value v) {
  std::int64_t elements = 0;
  const DType dtype = graph[v].type.dtype;
  while (graph[v].producer >= 0) {
    const Node& node = graph.nodes[static_cast<std::size_t>(graph[v].producer)];
    if (!node.op->view) break;
    if (node.op->begin != nullptr) elements += node.op->begin(node.attributes);
    v = node.in[0];
  }
  return elements * static_cast<std::int64_t>(SizeOf(dtype));
}

std::int64_t RowOf(const Graph& graph, Value v) {
  while (graph[v].type.layout == ops::Layout::kColumns)  // made by views alone
    v = graph.nodes[static_cast<std::size_t>(graph[v].producer)].in[0];
  const std::vector<ops::Extent>& shape = graph[v].type.shape;
  return shape.empty() || shape.back().symbol != ops::Symbol::kOne ? 0 : shape.back().times;
}

Result<MemoryPlan> PlanMemory(const Graph& graph, Counts largest) {
  MemoryPlan plan;
  FindBuffers(graph, largest, plan);
  Place(plan);
  FindPeak(graph, plan);
  if (plan.arena_bytes >= kTooLarge)
    return Status::OutOfRange(
        fmt::format("activations of {} tokens and {} rows need at least 64 TiB; most at\n  {}",
                    largest.tokens, largest.rows, ToText(graph, plan.peak_node)));
  return plan;
}

}  // namespace birkhoff::graph
