#include "graph/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "graph/print.h"
#include "graph/verify.h"

namespace birkhoff::graph {
namespace {

Status CheckOptions(const Graph& graph, const PlanOptions& o) {
  if (o.threads < 1 || o.max_tokens < 0 || o.max_rows < 0 || o.slots < 0)
    return Status::InvalidArgument(fmt::format(
        "plan options: expected threads >= 1, tokens, rows and slots >= 0, got {}, {}, {} and {}",
        o.threads, o.max_tokens, o.max_rows, o.slots));
  for (const auto& forced : o.force) {
    if (std::none_of(graph.nodes.begin(), graph.nodes.end(),
                     [&](const Node& n) { return n.op->name == forced.first; }))
      return Status::InvalidArgument(
          fmt::format("kernel {} is forced for op {}, which the graph does not have", forced.second,
                      forced.first));
  }
  return {};
}

std::string SizeText(std::int64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (bytes >= 1 << 30) return fmt::format("{:.1f} GiB", b / (1 << 30));
  if (bytes >= 1 << 20) return fmt::format("{:.1f} MiB", b / (1 << 20));
  if (bytes >= 1 << 10) return fmt::format("{:.1f} KiB", b / (1 << 10));
  return fmt::format("{} B", bytes);
}

}  // namespace

Result<std::unique_ptr<Plan>> Plan::Make(Graph graph, const PlanOptions& options) {
  BK_RETURN_IF_ERROR(Verify(graph));
  BK_RETURN_IF_ERROR(CheckOptions(graph, options));
  std::unique_ptr<Plan> plan(new Plan(std::move(graph), options));
  if (plan->options_.device == nullptr) plan->options_.device = &HostDevice();
  BK_ASSIGN_OR_RETURN(plan->memory_,
                      PlanMemory(plan->graph_, {options.max_tokens, options.max_rows}));
  plan->LayOutOperands();
  BK_RETURN_IF_ERROR(plan->SelectKernels());
  BK_RETURN_IF_ERROR(plan->Allocate());
  plan->options_.device = nullptr;  // the caller's, which need not live as long as the plan
  return plan;
}

// A value at its largest, with its data where that is known before any step.
ops::Operand Plan::Largest(Value value) const {
  const ValueInfo& v = graph_[value];
  const Counts most{options_.max_tokens, options_.max_rows};
  ops::Operand o{.data = const_cast<void*>(v.data),
                 .matrices = v.matrices,
                 .dtype = v.type.dtype,
                 .rank = static_cast<int>(v.type.shape.size()),
                 .layout = v.type.layout,
                 .row = RowOf(graph_, value)};
  for (int d = 0; d < o.rank; ++d) o.dim[d] = most.Of(v.type.shape[static_cast<std::size_t>(d)]);
  if (v.type.kind == ops::Kind::kState) o.dim[0] = options_.slots;
  return o;
}

void Plan::LayOutOperands() {
  for (const Node& node : graph_.nodes) {
    for (const std::vector<Value>* values : {&node.in, &node.out}) {
      for (Value v : *values) {
        operand_values_.push_back(v);
        operands_.push_back(Largest(v));
      }
    }
  }
  const ops::Operand* next = operands_.data();
  for (const Node& node : graph_.nodes) {
    calls_.push_back({.in = {next, node.in.size()},
                      .out = {next + node.in.size(), node.out.size()},
                      .batch = {.count = options_.slots}});
    next += node.in.size() + node.out.size();
  }
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const std::vector<ops::Extent>& shape = graph_[operand_values_[i]].type.shape;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      if (shape[d].symbol == ops::Symbol::kOne) continue;
      symbolic_dims_.push_back({&operands_[i].dim[d], shape[d]});
    }
  }
}

Status Plan::SelectKernels() {
  for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    kernels_.emplace_back();
    if (node.op->view) continue;
    ops::PrepareOptions options{.device = options_.device, .threads = options_.threads};
    const auto forced = options_.force.find(node.op->name);
    if (forced != options_.force.end()) options.force = forced->second;
    auto kernel = node.op->prepare(node.attributes, calls_[n], options);
    if (!kernel.ok()) {
      const int index = static_cast<int>(n);
      return kernel.status().Annotate(
          fmt::format("{}   {}", ToText(graph_, index), Summarise(graph_, index).place));
    }
    kernels_.back() = std::move(*kernel);
    const auto scratch = static_cast<std::int64_t>(kernels_.back()->scratch_bytes());
    if (scratch > scratch_bytes_) {
      scratch_bytes_ = scratch;
      scratch_node_ = static_cast<int>(n);
    }
  }
  return {};
}

Status Plan::Allocate() {
  const std::int64_t wanted = memory_.arena_bytes + scratch_bytes_;
  const std::int64_t present = options_.device->memory_bytes;
  if (present > 0 && wanted > present)
    return Status::OutOfRange(fmt::format("steps of {} tokens need {}, the machine has {}\n{}",
                                          options_.max_tokens, SizeText(wanted), SizeText(present),
                                          MemoryText()));
  constexpr auto kLarge = ReservedMemory::Pages::kLarge;
  BK_ASSIGN_OR_RETURN(arena_,
                      ReservedMemory::Make(static_cast<std::size_t>(memory_.arena_bytes), kLarge));
  BK_ASSIGN_OR_RETURN(scratch_,
                      ReservedMemory::Make(static_cast<std::size_t>(scratch_bytes_), kLarge));

  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const int buffer = memory_.buffer_of[static_cast<std::size_t>(operand_values_[i].id)];
    const std::int64_t offset = OffsetInViewed(graph_, operand_values_[i]);
    if (buffer >= 0)
      operands_[i].data =
          arena_.data() + memory_.buffers[static_cast<std::size_t>(buffer)].offset + offset;
    const Value source = Viewed(graph_, operand_values_[i]);
    for (std::size_t k = 0; k < graph_.inputs.size(); ++k) {
      if (graph_.inputs[k] == source)
        input_pointers_.push_back({&operands_[i].data, static_cast<int>(k), offset});
    }
  }
  state_set_.assign(graph_.states.size(), false);
  dying_.resize(graph_.nodes.size());
  for (const Buffer& b : memory_.buffers) {
    if (static_cast<std::size_t>(b.last) < graph_.nodes.size())
      dying_[static_cast<std::size_t>(b.last)].push_back(&b);
  }
  return {};
}

void Plan::SetState(int state, void* base) {
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    if (graph_[operand_values_[i]].state == state) operands_[i].data = base;
  }
  state_set_[static_cast<std::size_t>(state)] = base != nullptr;
}

std::int64_t Plan::StateBytes(int state) const {
  return options_.slots * graph_.states[static_cast<std::size_t>(state)].bytes_per_slot();
}

const ops::Operand& Plan::output(int index) const {
  const ValueInfo& v = graph_[graph_.outputs[static_cast<std::size_t>(index)].value];
  return calls_[static_cast<std::size_t>(v.producer)].out[static_cast<std::size_t>(v.slot)];
}

std::string Plan::MemoryText() const {
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "arena    {} in {} buffers for {} tokens and {} rows\n",
                 SizeText(memory_.arena_bytes), memory_.buffers.size(), options_.max_tokens,
                 options_.max_rows);
  if (memory_.peak_node >= 0)
    fmt::format_to(out, "         {} live at {}\n", SizeText(memory_.peak_bytes),
                   ToText(graph_, memory_.peak_node));
  fmt::format_to(out, "scratch  {}\n", SizeText(scratch_bytes_));
  if (scratch_node_ >= 0) fmt::format_to(out, "         for {}\n", ToText(graph_, scratch_node_));
  std::int64_t total = 0;
  for (std::size_t s = 0; s < graph_.states.size(); ++s) total += StateBytes(static_cast<int>(s));
  fmt::format_to(out, "states   {} in {} slots\n", SizeText(total), options_.slots);
  for (const State& s : graph_.states)
    fmt::format_to(out, "         {:>10} a slot  {} {} [{}, {}]\n", SizeText(s.bytes_per_slot()),
                   s.name, Name(s.dtype), s.capacity, s.width);
  return text;
}

}  // namespace birkhoff::graph
