// One step of a plan. Nothing here allocates unless the step is refused.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "graph/plan.h"

namespace birkhoff::graph {
namespace {

using Clock = std::chrono::steady_clock;

// All bits set is a NaN in every float format and -1 in every integer.
void FillWithNan(std::byte* p, std::int64_t bytes) {
  if (bytes > 0) std::memset(p, 0xff, static_cast<std::size_t>(bytes));
}

}  // namespace

Status Plan::Run(const Step& step, ThreadPool& pool, std::int64_t* nanoseconds) {
  BK_RETURN_IF_ERROR(Check(step, pool));
  Bind(step);
  if (step.tokens == 0) return {};
  if (options_.poison) FillWithNan(arena_.data(), memory_.arena_bytes);
  const Exec exec{.pool = &pool, .scratch = scratch_.data()};
  for (std::size_t n = 0; n < kernels_.size(); ++n) {
    if (kernels_[n] == nullptr) continue;  // a view
    if (options_.poison) FillWithNan(scratch_.data(), scratch_bytes_);
    const auto begin = nanoseconds != nullptr ? Clock::now() : Clock::time_point();
    kernels_[n]->Run(calls_[n], exec);
    if (nanoseconds != nullptr)
      nanoseconds[n] += (Clock::now() - begin) / std::chrono::nanoseconds(1);
    if (options_.poison) PoisonAfter(n);
  }
  return {};
}

Status Plan::Check(const Step& step, const ThreadPool& pool) const {
  if (step.tokens < 0 || step.tokens > options_.max_tokens)
    return Status::OutOfRange(fmt::format("a step of {} tokens, the plan has room for {}",
                                          step.tokens, options_.max_tokens));
  if (step.rows < 0 || step.rows > options_.max_rows)
    return Status::OutOfRange(
        fmt::format("a step of {} rows, the plan has room for {}", step.rows, options_.max_rows));
  if (step.tokens == 0 && step.rows > 0)
    return Status::InvalidArgument(fmt::format("a step of no tokens with {} rows", step.rows));
  if (pool.size() > options_.threads)
    return Status::InvalidArgument(fmt::format("a pool of {} threads, the plan is for at most {}",
                                               pool.size(), options_.threads));
  if (step.inputs.size() != graph_.inputs.size())
    return Status::InvalidArgument(fmt::format("a step with {} inputs, the graph has {}",
                                               step.inputs.size(), graph_.inputs.size()));
  const Counts counts{step.tokens, step.rows};
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const ValueInfo& input = graph_[graph_.inputs[i]];
    std::int64_t elements = 1;
    for (const ops::Extent& e : input.type.shape) elements *= counts.Of(e);
    if (elements > 0 && step.inputs[i] == nullptr)
      return Status::InvalidArgument(fmt::format("input {} is null", input.name));
  }
  return graph_.states.empty() || step.tokens == 0 ? Status() : CheckBatch(step);
}

Status Plan::CheckBatch(const Step& step) const {
  const auto missing = std::find(state_set_.begin(), state_set_.end(), false);
  if (missing != state_set_.end())
    return Status::InvalidArgument(
        fmt::format("state {} has no memory",
                    graph_.states[static_cast<std::size_t>(missing - state_set_.begin())].name));
  const SequenceBatch& b = step.batch;
  if (b.count < 1 || b.begin[b.count] != step.tokens)
    return Status::InvalidArgument(
        fmt::format("the {} sequences of a step have {} tokens, the step has {}", b.count,
                    b.count < 1 ? 0 : b.begin[b.count], step.tokens));
  for (std::int64_t s = 0; s < b.count; ++s) {
    if (b.slot[s] < 0 || b.slot[s] >= options_.slots)
      return Status::OutOfRange(fmt::format("sequence {} of a step is in slot {}, the plan has {}",
                                            s, b.slot[s], options_.slots));
  }
  return {};
}

void Plan::Bind(const Step& step) {
  const Counts counts{step.tokens, step.rows};
  for (const SymbolicDim& d : symbolic_dims_) *d.dim = counts.Of(d.extent);
  for (const InputPointer& p : input_pointers_)
    *p.data = const_cast<std::byte*>(
        static_cast<const std::byte*>(step.inputs[static_cast<std::size_t>(p.input)]) + p.offset);
  for (ops::Call& call : calls_) call.batch = step.batch;
}

void Plan::PoisonAfter(std::size_t node) {
  for (const Buffer* b : dying_[node]) FillWithNan(arena_.data() + b->offset, b->bytes);
}

}  // namespace birkhoff::graph
