#include "runtime/runner.h"

#include <fmt/format.h>

#include <algorithm>

namespace birkhoff::runtime {

Result<std::unique_ptr<Runner>> Runner::Make(graph::Graph graph, const RunnerOptions& options) {
  auto r = std::make_unique<Runner>();
  BK_ASSIGN_OR_RETURN(r->plan_,
                      graph::Plan::Make(std::move(graph), {.device = &options.device,
                                                           .threads = options.threads,
                                                           .max_tokens = options.max_tokens,
                                                           .max_rows = options.max_rows,
                                                           .slots = options.slots}));
  const graph::Graph& g = r->plan_->graph();
  for (int s = 0; s < static_cast<int>(g.states.size()); ++s) {
    BK_ASSIGN_OR_RETURN(ReservedMemory memory,
                        ReservedMemory::Make(static_cast<std::size_t>(r->plan_->StateBytes(s))));
    r->plan_->SetState(s, memory.data());
    r->states_.push_back(std::move(memory));
  }

  const auto tokens = static_cast<std::size_t>(options.max_tokens);
  const auto slots = static_cast<std::size_t>(options.slots);
  r->ids_.resize(tokens);
  r->positions_.resize(tokens);
  r->rows_.resize(static_cast<std::size_t>(options.max_rows));
  r->begin_.resize(slots + 1);
  r->slot_.resize(slots);
  r->past_.resize(slots);
  r->inputs_.resize(g.inputs.size());
  r->inputs_[static_cast<std::size_t>(g.FindInput("ids"))] = r->ids_.data();
  r->inputs_[static_cast<std::size_t>(g.FindInput("positions"))] = r->positions_.data();
  r->inputs_[static_cast<std::size_t>(g.FindInput("rows"))] = r->rows_.data();
  r->streams_input_ = g.FindInput("streams");
  r->streams_output_ = g.FindOutput("streams");
  r->logits_output_ = g.FindOutput("logits");
  return r;
}

Status Runner::Step(std::span<const Part> parts, std::span<const std::int32_t> rows,
                    const void* streams, ThreadPool& pool) {
  std::size_t total = 0;
  for (const Part& p : parts) total += p.tokens.size();
  if (total > ids_.size() || parts.size() > slot_.size() || rows.size() > rows_.size()) {
    return Status::OutOfRange(
        fmt::format("step of {} tokens, {} sequences, {} rows of logits: at most {}, {}, {}", total,
                    parts.size(), rows.size(), ids_.size(), slot_.size(), rows_.size()));
  }
  std::size_t t = 0;
  for (std::size_t s = 0; s < parts.size(); ++s) {
    begin_[s] = static_cast<std::int32_t>(t);
    slot_[s] = parts[s].slot;
    past_[s] = parts[s].past;
    for (std::size_t i = 0; i < parts[s].tokens.size(); ++i, ++t) {
      ids_[t] = parts[s].tokens[i];
      positions_[t] = static_cast<std::int32_t>(parts[s].position + static_cast<std::int64_t>(i));
    }
  }
  begin_[parts.size()] = static_cast<std::int32_t>(t);
  std::copy(rows.begin(), rows.end(), rows_.begin());
  if (streams_input_ >= 0) inputs_[static_cast<std::size_t>(streams_input_)] = streams;

  return plan_->Run({.inputs = inputs_,
                     .tokens = static_cast<std::int64_t>(total),
                     .rows = static_cast<std::int64_t>(rows.size()),
                     .batch = {static_cast<std::int64_t>(parts.size()), begin_.data(), slot_.data(),
                               past_.data()}},
                    pool, nanoseconds_.empty() ? nullptr : nanoseconds_.data());
}

std::span<const float> Runner::logits() const {
  const ops::Operand& o = plan_->output(logits_output_);
  return {static_cast<const float*>(o.data), static_cast<std::size_t>(o.dim[0] * o.dim[1])};
}

const void* Runner::StreamsRow(std::int64_t token) const {
  const ops::Operand& o = plan_->output(streams_output_);
  const std::int64_t bytes = o.dim[1] * o.dim[2] * static_cast<std::int64_t>(SizeOf(o.dtype));
  return static_cast<const std::byte*>(o.data) + token * bytes;
}

const ops::Operand* Runner::Output(std::string_view name) const {
  const int i = plan_->graph().FindOutput(name);
  return i < 0 ? nullptr : &plan_->output(i);
}

}  // namespace birkhoff::runtime
