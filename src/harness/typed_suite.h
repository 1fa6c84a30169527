// A Suite made of an op's kernel table and its cases.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "harness/gpu_problem.h"
#include "harness/suite.h"

namespace birkhoff::harness {

// Holds the outputs of one run against those of another, element by element. Two NaNs agree.
CheckResult Compare(std::span<const Output> expected, std::span<const Output> actual);

// The bytes of all outputs, one after another.
std::vector<std::byte> BytesOf(std::span<const Output> outputs);

// Quartiles of the time of run(), repeated for about `seconds` after one call to warm up.
TimeResult Measure(FunctionRef<void()> run, double seconds);

// Whether so many copies of a problem are more than the caches of a GPU keep between two uses of
// one.
bool RotationIsEnough(std::size_t copies, double bytes);

// The same for what run(i, stream) enqueues, per i, in a graph of many of them.
TimeResult MeasureGpu(FunctionRef<void(std::size_t i, void* stream)> run, double seconds);

template <class Args>
class TypedSuite final : public Suite {
 public:
  // The last row of the table is the definition.
  TypedSuite(std::string_view op, std::span<const Kernel<Args>> table,
             std::vector<Case<Args>> cases, GpuBench<Args> gpu_bench)
      : op_(op), table_(table), cases_(std::move(cases)), gpu_bench_(std::move(gpu_bench)) {}

  std::string_view op() const override { return op_; }
  int cases() const override { return static_cast<int>(cases_.size()); }
  int bench_cases() const override {
    return static_cast<int>(cases_.size() + gpu_bench_.cases.size());
  }
  const std::string& case_name(int c) const override { return At(c).name; }
  bool is_bench(int c) const override { return c >= cases() || At(c).bench; }
  bool is_dense(int c) const override { return At(c).dense; }
  bool is_chained() const override { return gpu_bench_.link != nullptr; }
  const std::vector<std::pair<std::string, std::int64_t>>& dims(int c) const override {
    return At(c).dims;
  }
  int kernels() const override { return static_cast<int>(table_.size()); }
  std::string_view kernel_name(int k) const override { return Row(k).name; }
  std::string_view bits(int k) const override { return Row(k).bits; }
  DeviceKind device(int k) const override { return Row(k).device; }

  std::string Launch(int c, int k) const override {
    if (Row(k).launch == nullptr) return {};
    return WithExtents(c, Row(k).launch);
  }

  // A GPU row is asked about the GPU, whatever CPU the caller is interested in.
  Refusal Refuses(int c, int k, const Device& device) const override {
    const Device* gpu = FirstGpu().device;
    const bool other = Row(k).device == DeviceKind::kGpu && gpu != nullptr;
    return WithExtents(
        c, [&](const Args& args) { return WhyNot(Row(k), args, other ? *gpu : device); });
  }

  CheckResult Check(int c, int k, ThreadPool& pool) const override {
    Problem<Args> expected = At(c).make(bits(k));
    (void)Run(table_.back(), expected, pool);  // cannot fail: it runs on the CPU
    Problem<Args> actual = At(c).make();
    if (const Status status = Run(Row(k), actual, pool); !status.ok())
      return {.detail = status.message() + "\n"};
    CheckResult result = Compare(expected.outputs, actual.outputs);
    if (!actual.buffers->GuardsIntact()) {
      result.ok = false;
      result.detail += "wrote outside its outputs";
    }
    if (const std::string why = actual.also ? actual.also() : std::string(); !why.empty()) {
      result.ok = false;
      result.detail += why;
    }
    return result;
  }

  std::vector<std::byte> Bits(int c, int k, ThreadPool& pool) const override {
    Problem<Args> problem = At(c).make();
    if (!Run(Row(k), problem, pool).ok()) return {};
    return BytesOf(problem.outputs);
  }

  TimeResult Time(int c, int k, ThreadPool& pool, double seconds) const override {
    Problem<Args> problem = At(c).make();
    TimeResult result;
    if (Row(k).device == DeviceKind::kGpu) {
      result = TimeOnGpu(Row(k), problem, pool, seconds);
    } else {
      const Exec exec = ExecFor(Row(k), problem, pool);
      result = Measure([&] { Row(k).run(problem.args, exec); }, seconds);
    }
    result.bytes = problem.bytes;
    result.flops = problem.flops;
    return result;
  }

 private:
  const Case<Args>& At(int c) const {
    const auto i = static_cast<std::size_t>(c);
    return i < cases_.size() ? cases_[i] : gpu_bench_.cases[i - cases_.size()];
  }
  // f(arguments of case c), whose data may be missing; what they point to lives until f returns.
  template <class F>
  auto WithExtents(int c, F f) const {
    if (At(c).extents) return f(At(c).extents());
    const Problem<Args> problem = At(c).make();
    return f(problem.args);
  }
  const Kernel<Args>& Row(int k) const { return table_[static_cast<std::size_t>(k)]; }

  static std::size_t ScratchFor(const Kernel<Args>& kernel, const Args& args, ThreadPool& pool) {
    return kernel.scratch != nullptr ? kernel.scratch(args, pool.size()) : 0;
  }

  static Exec ExecFor(const Kernel<Args>& kernel, Problem<Args>& problem, ThreadPool& pool) {
    const std::size_t bytes = ScratchFor(kernel, problem.args, pool);
    return {&pool, problem.buffers->Bytes(static_cast<std::int64_t>(bytes))};
  }

  static Status Run(const Kernel<Args>& kernel, Problem<Args>& problem, ThreadPool& pool) {
    if (kernel.device == DeviceKind::kCpu) {
      kernel.run(problem.args, ExecFor(kernel, problem, pool));
      return Status::Ok();
    }
    BK_ASSIGN_OR_RETURN(const GpuProblem gpu, OnGpu(kernel, problem, pool));
    kernel.run(gpu.Moved(problem.args), ExecOn(gpu, pool, nullptr));
    return gpu.Fetch();
  }

  // The problem uploaded, and what the kernel keeps prepared.
  static Result<GpuProblem> OnGpu(const Kernel<Args>& kernel, const Problem<Args>& problem,
                                  ThreadPool& pool) {
    const std::size_t state = kernel.state != nullptr ? kernel.state(problem.args) : 0;
    BK_ASSIGN_OR_RETURN(
        GpuProblem gpu,
        GpuProblem::Make(*problem.buffers, ScratchFor(kernel, problem.args, pool), state));
    if (kernel.prepare != nullptr) {
      kernel.prepare(gpu.Moved(problem.args), ExecOn(gpu, pool, nullptr));
      BK_RETURN_IF_ERROR(GpuWait());  // runs may come on another stream
    }
    return gpu;
  }

  static Exec ExecOn(const GpuProblem& gpu, ThreadPool& pool, void* stream) {
    return {.pool = &pool, .scratch = gpu.scratch(), .state = gpu.state(), .stream = stream};
  }

  TimeResult TimeOnGpu(const Kernel<Args>& kernel, const Problem<Args>& problem, ThreadPool& pool,
                       double seconds) const {
    std::vector<GpuProblem> copies;
    const auto enough = [&] { return RotationIsEnough(copies.size(), problem.bytes); };
    while (copies.size() < 2 || !enough()) {
      auto copy = OnGpu(kernel, problem, pool);
      if (!copy.ok()) return {.error = copy.status().message()};
      copies.push_back(std::move(*copy));
    }
    return MeasureGpu(
        [&](std::size_t i, void* stream) {
          const GpuProblem& gpu = copies[i % copies.size()];
          Args args = gpu.Moved(problem.args);
          // The first of a chain reads the problem's own inputs: nothing is poison, and nothing
          // grows from replay to replay.
          if (gpu_bench_.link != nullptr && i > 0)
            gpu_bench_.link(copies[(i - 1) % copies.size()].Moved(problem.args), args);
          kernel.run(args, ExecOn(gpu, pool, stream));
        },
        seconds);
  }

  std::string_view op_ = {};
  std::span<const Kernel<Args>> table_ = {};
  std::vector<Case<Args>> cases_ = {};
  GpuBench<Args> gpu_bench_ = {};
};

template <class Args>
std::unique_ptr<Suite> MakeSuite(std::string_view op, std::span<const Kernel<Args>> table,
                                 std::vector<Case<Args>> cases, GpuBench<Args> gpu_bench = {}) {
  return std::make_unique<TypedSuite<Args>>(op, table, std::move(cases), std::move(gpu_bench));
}

}  // namespace birkhoff::harness
