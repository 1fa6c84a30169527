// The case list of every op: one list behind the tests, `verify`, `bench` and `explain`.
//
// A case makes a problem: inputs, places for the outputs, and for each output the bound that a
// kernel must keep against the float64 definition. A bound is derived from dtype, extents and the
// magnitude of the inputs, never from what a kernel happens to reach. Checking runs the reference
// and one kernel on the same inputs, with outputs and scratch filled with NaN patterns and guard
// bytes around them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "birkhoff/device.h"
#include "birkhoff/dtype.h"
#include "dispatch/kernel.h"

namespace birkhoff::harness {

// Memory of a problem: stable addresses, guard bytes on both sides, deterministic contents.
class Buffers {
 public:
  explicit Buffers(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}

  void* Bytes(std::int64_t count);  // poisoned
  // Bell-shaped, within 3.5 deviations of the mean.
  float* Floats(std::int64_t count, double stddev, double mean = 0);
  void* Values(std::int64_t count, DType type, double stddev, double mean = 0);  // kF32 or kBF16
  std::int32_t* Ints(std::int64_t count, std::int64_t below);  // uniform in [0, below)
  std::uint64_t Next();                                        // raw random bits
  double Uniform();                                            // [0, 1)

  // Poisons nothing; false when a guard byte around any block changed.
  bool GuardsIntact() const;

  // Every block with its guards, in the order in which they were made.
  std::vector<std::span<std::byte>> Blocks() const;

 private:
  struct Block {
    std::unique_ptr<std::byte[]> memory = {};
    std::int64_t size = 0;
  };
  std::vector<Block> blocks_ = {};
  std::uint64_t state_ = 0;
};

struct Output {
  std::string name = {};
  void* data = nullptr;
  DType dtype = DType::kF32;  // kF32, kBF16, kI32 (compared exactly), or any with `value`
  std::int64_t elements = 0;
  // Largest |actual - expected| allowed for element i; null: must be equal.
  std::function<double(std::int64_t i, double expected)> bound = {};
  // What element i stands for, where dtype does not say; its size is that of dtype.
  std::function<double(std::int64_t i)> value = {};
};

template <class Args>
struct Problem {
  Args args = {};
  std::vector<Output> outputs = {};
  std::shared_ptr<Buffers> buffers = {};  // owns everything that args and outputs point to
  double bytes = 0;                       // that must move at least once: inputs, weights, outputs
  double flops = 0;                       // multiply-adds count two
  // What must hold between outputs, beside their bounds; says what does not, or nothing.
  std::function<std::string()> also = {};
};

// Makes a problem: a function of nothing, or of the bits class whose bounds the outputs shall have.
template <class Args>
class Maker {
 public:
  Maker() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Maker>)
      Maker(F f)  // NOLINT(google-explicit-constructor): a lambda in a list of cases
      : make_([f = std::move(f)](std::string_view bits) {
          if constexpr (std::is_invocable_v<const F&, std::string_view>) {
            return f(bits);
          } else {
            return f();
          }
        }) {}

  Problem<Args> operator()(std::string_view bits = {}) const { return make_(bits); }

 private:
  std::function<Problem<Args>(std::string_view bits)> make_ = {};
};

template <class Args>
struct Case {
  std::string name = {};  // "M=17 N=96 K=160 fp8 bf16": what fails is rerun by this name
  Maker<Args> make = {};
  bool bench = false;  // also a benchmark case
  // Extents by the names of the field, for reports: {"H", 4096}, {"T", 1}.
  std::vector<std::pair<std::string, std::int64_t>> dims = {};
  // Arguments without data, for questions about them; null: those of make().
  std::function<Args()> extents = {};
  bool dense = false;  // a benchmark of those who look for cliffs, BenchOpsOptions::dense
};

// Benchmarks of GPU rows, with cases that would take a CPU too long.
template <class Args>
struct GpuBench {
  std::vector<Case<Args>> cases = {};
  // Makes a problem read what the one before it wrote, as in a model; null: each has its own data.
  void (*link)(const Args& before, Args& next) = nullptr;
};

struct CheckResult {
  bool ok = false;
  double worst = 0;  // largest |error| / bound over all outputs; 0 when all are equal
  std::string detail =
      {};  // on failure: output, index, expected, actual, bound, how many were outside
};

struct TimeResult {
  double us = 0;  // median of the repetitions
  double us_p25 = 0;
  double us_p75 = 0;
  double bytes = 0;
  double flops = 0;
  double launches = 0;     // of one run, on a GPU
  std::string error = {};  // of the GPU; then the times mean nothing
};

// One op's list, without its argument type.
class Suite {
 public:
  virtual ~Suite() = default;
  virtual std::string_view op() const = 0;
  virtual int cases() const = 0;
  // Cases from cases() up to this are benchmarks of GPU rows alone.
  virtual int bench_cases() const = 0;
  virtual const std::string& case_name(int c) const = 0;
  virtual bool is_bench(int c) const = 0;
  virtual bool is_dense(int c) const = 0;
  virtual bool is_chained() const = 0;  // its GPU benchmarks, see GpuBench::link
  virtual const std::vector<std::pair<std::string, std::int64_t>>& dims(int c) const = 0;
  virtual int kernels() const = 0;
  virtual std::string_view kernel_name(int k) const = 0;
  virtual std::string_view bits(int k) const = 0;
  virtual DeviceKind device(int k) const = 0;
  // How the kernel would launch on the GPU of this process; empty: always the same.
  virtual std::string Launch(int c, int k) const = 0;
  virtual Refusal Refuses(int c, int k, const Device& device) const = 0;
  virtual CheckResult Check(int c, int k, ThreadPool& pool) const = 0;
  // Bytes of all outputs of kernel k, for comparisons of bits between kernels and thread counts.
  // Every NaN counts as the same one: which of two NaN operands an addition passes on is the
  // compiler's choice.
  virtual std::vector<std::byte> Bits(int c, int k, ThreadPool& pool) const = 0;
  virtual TimeResult Time(int c, int k, ThreadPool& pool, double seconds) const = 0;
};

// All suites, ordered by op.
std::span<const std::unique_ptr<Suite>> AllSuites();

// One per group of ops, in suites_<group>.cc.
void AddElementwiseSuites(
    std::vector<std::unique_ptr<Suite>>&
        to);  // add, broadcast, concat, embedding, gather_rows, rms_norm, swiglu
void AddFp8Suites(
    std::vector<std::unique_ptr<Suite>>& to);  // quantise, rms_norm_quantise, swiglu_quantise
void AddMhcSuites(std::vector<std::unique_ptr<Suite>>& to);       // coeffs, collapse, head, post
void AddMhcFusedSuites(std::vector<std::unique_ptr<Suite>>& to);  // boundaries, tail
void AddNormRopeSuites(std::vector<std::unique_ptr<Suite>>&
                           to);  // dual_rms_norm, norm_rope, norm_rope_write, rope_write
void AddRopeSuites(std::vector<std::unique_ptr<Suite>>& to);  // rope, rope_table
void AddAttentionSuites(
    std::vector<std::unique_ptr<Suite>>& to);  // attention, compress, index_topk, kv_write
void AddGqaSuites(std::vector<std::unique_ptr<Suite>>& to);     // gqa_attention
void AddLinearSuites(std::vector<std::unique_ptr<Suite>>& to);  // head_linear, linear
void AddMoeSuites(std::vector<std::unique_ptr<Suite>>& to);     // experts, route

// |v| bounds of one rounding to a type: half an ulp, relative.
constexpr double HalfUlp(DType t) { return t == DType::kBF16 ? 0x1p-8 : 0x1p-24; }
constexpr double kF32Eps = 0x1p-24;  // u: half an ulp of f32, relative

}  // namespace birkhoff::harness
