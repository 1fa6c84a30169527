#include "harness/bench_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "base/thread_pool.h"
#include "birkhoff/bandwidth.h"
#include "harness/suite.h"
#include "harness/typed_suite.h"
#include "models/deepseek_v4/layout.h"
#include "ops/tables.h"
#include "runtime/engine_impl.h"
#include "runtime/random_engine.h"

namespace birkhoff::harness {

namespace {

constexpr std::uint64_t kSeed = 1;
constexpr double kPeakSeconds = 1;

std::vector<std::int32_t> RandomPrompt(std::int64_t tokens, std::int64_t vocab) {
  std::vector<std::int32_t> ids;
  std::uint64_t state = kSeed;
  for (std::int64_t i = 0; i < tokens; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;  // Knuth, MMIX
    ids.push_back(static_cast<std::int32_t>((state >> 33) % static_cast<std::uint64_t>(vocab)));
  }
  return ids;
}

Result<models::deepseek_v4::Quantisation> ParseQuantisation(const std::string& weights) {
  using models::deepseek_v4::Quantisation;
  if (weights == "bf16") return Quantisation::kBF16;
  if (weights == "fp8") return Quantisation::kBase;
  if (weights == "release") return Quantisation::kRelease;
  return Status::InvalidArgument(
      fmt::format("weights: expected bf16, fp8 or release, got '{}'", weights));
}

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

double Elements(const ops::ValueType& type) {  // of one matrix of kMatrix or kMatrices
  const std::size_t rank = type.shape.size();
  return static_cast<double>(type.shape[rank - 2].times) *
         static_cast<double>(type.shape[rank - 1].times);
}

double FlopsPerToken(const graph::Graph& graph, const graph::Node& node) {
  const auto type = [&](std::size_t operand) -> const ops::ValueType& {
    return graph[node.in[operand]].type;
  };
  const bool is_product = node.op->name == "linear" || node.op->name == "experts";
  if (!is_product || type(0).shape[0].symbol != ops::Symbol::kTokens) return 0;
  if (node.op->name == "linear") {
    double weights = 0;
    for (std::size_t i = 1; i < node.in.size(); ++i) {
      if (type(i).kind == ops::Kind::kMatrix) weights += Elements(type(i));
    }
    return 2 * weights;
  }
  const auto per_token = static_cast<double>(type(1).shape[1].times);
  return 2 * per_token * (Elements(type(3)) + Elements(type(4)) + Elements(type(5)));
}

// What the linear kernel reaches on a product large enough to keep every thread busy: the ceiling
// of prefill.
double MatrixPeak(const Device& device, DType type, ThreadPool& pool) {
  constexpr std::int64_t kRows = 512;
  constexpr std::int64_t kSide = 2048;
  Buffers buffers(kSeed);
  const LinearArgs args = {.x = buffers.Values(kRows * kSide, type, 1),
                           .w = {.data = buffers.Values(kSide * kSide, DType::kBF16, 1),
                                 .format = WeightFormat::kBF16,
                                 .rows = kSide,
                                 .cols = kSide},
                           .out = buffers.Bytes(kRows * kSide * static_cast<int>(SizeOf(type))),
                           .x_type = type,
                           .out_type = type,
                           .rows = kRows};
  const auto table = ops::LinearKernels();
  std::size_t k = 0;
  while (WhyNot(table[k], args, device)) ++k;  // the last row refuses no CPU
  const std::size_t scratch = table[k].scratch != nullptr ? table[k].scratch(args, pool.size()) : 0;
  const Exec exec = {&pool, buffers.Bytes(static_cast<std::int64_t>(scratch))};
  const TimeResult time = Measure([&] { table[k].run(args, exec); }, kPeakSeconds);
  return 2.0 * kRows * kSide * kSide / time.us / 1e3;
}

Result<GenerateStats> RunOnce(Engine& engine, Session& session,
                              std::span<const std::int32_t> prompt, std::int64_t decode_tokens,
                              bool speculate) {
  session.Reset();
  const GenerateOptions want = {
      .max_tokens = decode_tokens + 1, .ignore_eos = true, .speculate = speculate};
  return engine.Generate(session, prompt, want, [](std::int32_t) { return true; });
}

// Adds the time of every node of the trunk to its op.
void AddTimes(runtime::Runner& trunk, double OpTime::*field, double per,
              std::map<std::string_view, OpTime>& ops) {
  const graph::Graph& graph = trunk.plan().graph();
  const std::span<const std::int64_t> ns = trunk.nanoseconds();
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    ops[graph.nodes[n].op->name].*field += static_cast<double>(ns[n]) / 1e6 / per;
  }
}

Result<std::vector<OpTime>> Profile(Engine& engine, Session& session,
                                    std::span<const std::int32_t> prompt,
                                    std::int64_t decode_tokens) {
  runtime::Runner& trunk = engine.impl().trunk();
  std::map<std::string_view, OpTime> ops;
  for (const graph::Node& node : trunk.plan().graph().nodes) {
    OpTime& time = ops[node.op->name];
    time.op = node.op->name;
    ++time.nodes;
  }
  session.Reset();
  trunk.MeasureNodes();
  BK_RETURN_IF_ERROR(engine.Prefill(session, prompt).status());
  AddTimes(trunk, &OpTime::prefill_ms, 1, ops);
  trunk.MeasureNodes();
  for (std::int64_t i = 0; i < decode_tokens; ++i) {
    BK_RETURN_IF_ERROR(engine.Prefill(session, prompt.first(1)).status());
  }
  AddTimes(trunk, &OpTime::decode_ms, static_cast<double>(decode_tokens), ops);

  std::vector<OpTime> sorted;
  for (auto& [name, time] : ops) sorted.push_back(std::move(time));
  std::sort(sorted.begin(), sorted.end(),
            [](const OpTime& a, const OpTime& b) { return a.decode_ms > b.decode_ms; });
  return sorted;
}

Status Check(const Engine& engine, const BenchModelOptions& options) {
  if (options.prompt_tokens < 1 || options.decode_tokens < 1 || options.repetitions < 1) {
    return Status::InvalidArgument(fmt::format(
        "expected at least 1 prompt token, decoded token and repetition, got {}, {}, {}",
        options.prompt_tokens, options.decode_tokens, options.repetitions));
  }
  const std::int64_t tokens = options.prompt_tokens + options.decode_tokens + 1;
  if (tokens > engine.info().context) {
    return Status::OutOfRange(
        fmt::format("prompt and continuation need a context of {} tokens, "
                    "the model has {}",
                    tokens, engine.info().context));
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<Engine>> LoadDummyEngine(const std::string& config,
                                                const std::string& weights,
                                                const EngineOptions& options) {
  BK_ASSIGN_OR_RETURN(const models::deepseek_v4::Quantisation quantisation,
                      ParseQuantisation(weights));
  return LoadRandomEngine(config, options, quantisation);
}

double MatrixFlopsPerToken(Engine& engine) {
  const graph::Graph& graph = engine.impl().trunk().plan().graph();
  double flops = 0;
  for (const graph::Node& node : graph.nodes) flops += FlopsPerToken(graph, node);
  return flops;
}

Result<BenchModelResult> BenchModel(Engine& engine, const BenchModelOptions& options) {
  BK_RETURN_IF_ERROR(Check(engine, options));
  const std::vector<std::int32_t> prompt = RandomPrompt(options.prompt_tokens, engine.info().vocab);
  BK_ASSIGN_OR_RETURN(Session session, engine.NewSession());
  BK_RETURN_IF_ERROR(RunOnce(engine, session, prompt, 2, options.speculate).status());
  std::vector<double> prefill;
  std::vector<double> decode;
  std::vector<double> steps;
  for (int i = 0; i < options.repetitions; ++i) {
    BK_ASSIGN_OR_RETURN(const GenerateStats stats,
                        RunOnce(engine, session, prompt, options.decode_tokens, options.speculate));
    prefill.push_back(static_cast<double>(stats.prompt_tokens) / stats.prefill_seconds);
    decode.push_back(static_cast<double>(options.decode_tokens) / stats.decode_seconds);
    steps.push_back(static_cast<double>(stats.decode_steps) / stats.decode_seconds);
  }
  BenchModelResult result;
  result.prefill_tokens_per_s = SpreadOf(prefill);
  result.decode_tokens_per_s = SpreadOf(decode);
  result.decode_steps_per_s = SpreadOf(steps);
  result.decode_gb_per_s = result.decode_steps_per_s.median *
                           static_cast<double>(engine.info().bytes_per_decoded_token) / 1e9;
  result.prefill_gflops = result.prefill_tokens_per_s.median * MatrixFlopsPerToken(engine) / 1e9;
  if (options.profile) {
    BK_ASSIGN_OR_RETURN(result.ops, Profile(engine, session, prompt, options.decode_tokens));
  }
  Device device = HostDevice();
  device.isa = std::min(device.isa, engine.options().max_isa);
  result.read_gb_per_s = MeasureReadBandwidth(engine.options().threads);
  const bool exact = engine.options().precision == Precision::kF32;
  result.matrix_gflops =
      MatrixPeak(device, exact ? DType::kF32 : DType::kBF16, engine.impl().pool());
  return result;
}

}  // namespace birkhoff::harness
