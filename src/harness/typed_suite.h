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
#include "harness/suite.h"

namespace birkhoff::harness {

// Holds the outputs of one run against those of another, element by element. Two NaNs agree.
CheckResult Compare(std::span<const Output> expected, std::span<const Output> actual);

// The bytes of all outputs, one after another.
std::vector<std::byte> BytesOf(std::span<const Output> outputs);

// Quartiles of the time of run(), repeated for about `seconds` after one call to warm up.
TimeResult Measure(FunctionRef<void()> run, double seconds);

template <class Args>
class TypedSuite final : public Suite {
 public:
  // The last row of the table is the definition.
  TypedSuite(std::string_view op, std::span<const Kernel<Args>> table,
             std::vector<Case<Args>> cases)
      : op_(op), table_(table), cases_(std::move(cases)) {}

  std::string_view op() const override { return op_; }
  int cases() const override { return static_cast<int>(cases_.size()); }
  const std::string& case_name(int c) const override { return At(c).name; }
  bool is_bench(int c) const override { return At(c).bench; }
  int kernels() const override { return static_cast<int>(table_.size()); }
  std::string_view kernel_name(int k) const override { return Row(k).name; }
  std::string_view bits(int k) const override { return Row(k).bits; }

  Refusal Refuses(int c, int k, const Device& device) const override {
    return Row(k).refuses(At(c).make().args, device);
  }

  CheckResult Check(int c, int k, ThreadPool& pool) const override {
    Problem<Args> expected = At(c).make();
    Run(table_.back(), expected, pool);
    Problem<Args> actual = At(c).make();
    Run(Row(k), actual, pool);
    CheckResult result = Compare(expected.outputs, actual.outputs);
    if (!actual.buffers->GuardsIntact()) {
      result.ok = false;
      result.detail += "wrote outside its outputs";
    }
    return result;
  }

  std::vector<std::byte> Bits(int c, int k, ThreadPool& pool) const override {
    Problem<Args> problem = At(c).make();
    Run(Row(k), problem, pool);
    return BytesOf(problem.outputs);
  }

  TimeResult Time(int c, int k, ThreadPool& pool, double seconds) const override {
    Problem<Args> problem = At(c).make();
    const Exec exec = ExecFor(Row(k), problem, pool);
    TimeResult result = Measure([&] { Row(k).run(problem.args, exec); }, seconds);
    result.bytes = problem.bytes;
    result.flops = problem.flops;
    return result;
  }

 private:
  const Case<Args>& At(int c) const { return cases_[static_cast<std::size_t>(c)]; }
  const Kernel<Args>& Row(int k) const { return table_[static_cast<std::size_t>(k)]; }

  static Exec ExecFor(const Kernel<Args>& kernel, Problem<Args>& problem, ThreadPool& pool) {
    const std::size_t bytes =
        kernel.scratch != nullptr ? kernel.scratch(problem.args, pool.size()) : 0;
    return {&pool, problem.buffers->Bytes(static_cast<std::int64_t>(bytes))};
  }

  static void Run(const Kernel<Args>& kernel, Problem<Args>& problem, ThreadPool& pool) {
    kernel.run(problem.args, ExecFor(kernel, problem, pool));
  }

  std::string_view op_ = {};
  std::span<const Kernel<Args>> table_ = {};
  std::vector<Case<Args>> cases_ = {};
};

template <class Args>
std::unique_ptr<Suite> MakeSuite(std::string_view op, std::span<const Kernel<Args>> table,
                                 std::vector<Case<Args>> cases) {
  return std::make_unique<TypedSuite<Args>>(op, table, std::move(cases));
}

}  // namespace birkhoff::harness
