// birkhoff bench: speed against a ceiling, of ops and of whole models.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "birkhoff/device.h"
#include "flags.h"
#include "generation.h"
#include "harness/bench_model.h"
#include "harness/bench_ops.h"
#include "json_out.h"
#include "progress.h"
#include "table.h"
#include "version.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kOpsExamples = R"(birkhoff bench ops --op linear
birkhoff bench ops --op 'mhc*' --kernel '*avx512*' --seconds 1
birkhoff bench ops --json >> ops.jsonl)";

constexpr const char* kModelExamples = R"(birkhoff bench model
birkhoff bench model --model DIR --prompt-tokens 2048 --json
birkhoff bench model --dummy config.json --weights fp8 --profile)";

struct OpsFlags {
  harness::BenchOpsOptions bench = {};
  std::string isa = "auto";
  bool json = false;
};

struct ModelBenchFlags {
  ModelFlags model = {};
  std::optional<std::string> dummy = {};
  std::string weights = "release";
  harness::BenchModelOptions bench = {};
  bool json = false;
};

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// What a figure means nothing without.
Json Machine(CpuIsa isa, int threads) {
  return {{"date", Today()},         {"version", kVersion}, {"commit", kCommit},
          {"cpu", HostDevice().cpu}, {"isa", Name(isa)},    {"threads", threads}};
}

Result<Exit> BenchOps(OpsFlags flags) {
  harness::BenchOpsOptions& options = flags.bench;
  options.device = HostDevice();
  options.device.isa = std::min(options.device.isa, MaxIsa(flags.isa));
  if (options.threads == 0) options.threads = options.device.cpus;
  Table table({"op", "kernel", "case", ">us", ">p25-p75", ">GB/s", ">GFLOP/s", ">% of memory",
               ">floor us", ">peer us", ">x peer"});
  std::map<std::string, double> ceilings;
  const auto report = [&](const harness::OpTiming& o) {
    const harness::TimeResult& t = o.time;
    const double gb_per_s = t.bytes / t.us / 1e3;
    const double gflops = t.flops / t.us / 1e3;
    const double percent = 100 * gb_per_s / o.ceiling_gb_per_s;
    ceilings[o.device] = o.ceiling_gb_per_s;
    if (flags.json) {
      Json json = {{"op", o.op},
                   {"kernel", o.kernel},
                   {"device", o.device},
                   {"case", o.case_name},
                   {"us", JsonFigure(t.us)},
                   {"us_p25", JsonFigure(t.us_p25)},
                   {"us_p75", JsonFigure(t.us_p75)},
                   {"gbs", JsonFigure(gb_per_s)},
                   {"gflops", JsonFigure(gflops)},
                   {"floor_us", JsonFigure(o.floor_us())}};
      for (const auto& [name, extent] : o.dims) json[name] = extent;
      if (o.kind == DeviceKind::kGpu) {
        json["pct_copy"] = JsonFigure(percent);
        json["copy_gbs"] = JsonFigure(o.ceiling_gb_per_s);
        json["launches"] = JsonFigure(t.launches);
        json["data"] = o.chained ? "chained" : "own";
      } else {
        json["pct_bandwidth"] = JsonFigure(percent);
        json["bandwidth_gbs"] = JsonFigure(o.ceiling_gb_per_s);
      }
      if (o.peer) {
        json["peer"] = o.peer->name;
        json["peer_us"] = JsonFigure(o.peer->us);
      }
      json.update(Machine(options.device.isa, options.threads));
      return PrintJson(json);
    }
    table.Row({o.op, o.kernel, o.case_name, fmt::format("{:.1f}", t.us),
               fmt::format("{:.1f}-{:.1f}", t.us_p25, t.us_p75), fmt::format("{:.1f}", gb_per_s),
               fmt::format("{:.1f}", gflops), fmt::format("{:.0f}", percent),
               fmt::format("{:.1f}", o.floor_us()), o.peer ? fmt::format("{:.1f}", o.peer->us) : "",
               o.peer ? fmt::format("{:.2f}", o.peer->us / t.us) : ""});
  };
  BK_RETURN_IF_ERROR(harness::BenchOps(options, report));
  if (!flags.json) {
    fmt::print("{}", table.ToString());
    for (const auto& [device, gb_per_s] : ceilings)
      fmt::print("memory of {}: {:.1f} GB/s\n", device, gb_per_s);
    fmt::print("CPU kernels: {} threads, {}\n", options.threads, Name(options.device.isa));
  }
  return Exit::kOk;
}

Result<std::unique_ptr<Engine>> LoadForBench(const ModelBenchFlags& flags) {
  if (!flags.dummy) return LoadEngine(flags.model);
  ProgressBar bar;
  EngineOptions options = ToEngineOptions(flags.model, "");
  options.progress = bar.Callback();
  return harness::LoadDummyEngine(*flags.dummy, flags.weights, options);
}

Json ToJson(const harness::Spread& s) {
  return {
      {"median", JsonFigure(s.median)}, {"min", JsonFigure(s.least)}, {"max", JsonFigure(s.most)}};
}

Json ToJson(const ModelBenchFlags& flags, const Engine& engine,
            const harness::BenchModelResult& r) {
  const EngineOptions& options = engine.options();
  Json json = {{"model", flags.dummy ? *flags.dummy : options.model},
               {"weights", flags.dummy ? Json(flags.weights) : Json(nullptr)},
               {"precision", flags.model.precision},
               {"fusion", flags.model.fusion},
               {"draft", !flags.model.no_draft},
               {"parameters", engine.info().parameters},
               {"weight_bytes", engine.info().weight_bytes},
               {"bytes_per_decoded_token", engine.info().bytes_per_decoded_token},
               {"prompt_tokens", flags.bench.prompt_tokens},
               {"decode_tokens", flags.bench.decode_tokens},
               {"repetitions", flags.bench.repetitions},
               {"speculate", flags.bench.speculate},
               {"prefill_tokens_per_s", ToJson(r.prefill_tokens_per_s)},
               {"prefill_gflops", JsonFigure(r.prefill_gflops)},
               {"matrix_gflops", JsonFigure(r.matrix_gflops)},
               {"prefill_fraction", JsonFigure(r.prefill_gflops / r.matrix_gflops)},
               {"decode_tokens_per_s", ToJson(r.decode_tokens_per_s)},
               {"decode_gb_per_s", JsonFigure(r.decode_gb_per_s)},
               {"read_gb_per_s", JsonFigure(r.read_gb_per_s)},
               {"decode_fraction", JsonFigure(r.decode_gb_per_s / r.read_gb_per_s)}};
  for (const harness::OpTime& op : r.ops) {
    json["ops"].push_back({{"op", op.op},
                           {"nodes", op.nodes},
                           {"prefill_ms", JsonFigure(op.prefill_ms)},
                           {"decode_ms", JsonFigure(op.decode_ms)}});
  }
  json.update(Machine(std::min(HostDevice().isa, options.max_isa), options.threads));
  return json;
}

void Print(const ModelBenchFlags& flags, const Engine& engine, const harness::BenchModelResult& r) {
  const ModelInfo& info = engine.info();
  fmt::print("{:.4g} million parameters, {} of weights, {} read per decoded token, {} threads\n",
             static_cast<double>(info.parameters) / 1e6,
             Bytes(static_cast<double>(info.weight_bytes)),
             Bytes(static_cast<double>(info.bytes_per_decoded_token)), engine.options().threads);
  Table table({"", ">tokens", ">tok/s", ">min-max", ">rate", ">ceiling", ">reached"});
  const auto row = [&](const char* name, std::int64_t tokens, const harness::Spread& speed,
                       double rate, double ceiling, const char* unit) {
    table.Row({name, fmt::format("{}", tokens), fmt::format("{:.4g}", speed.median),
               fmt::format("{:.4g}-{:.4g}", speed.least, speed.most),
               fmt::format("{:.1f} {}", rate, unit), fmt::format("{:.1f} {}", ceiling, unit),
               fmt::format("{:.0f} %", 100 * rate / ceiling)});
  };
  row("prefill", flags.bench.prompt_tokens, r.prefill_tokens_per_s, r.prefill_gflops,
      r.matrix_gflops, "GFLOP/s");
  row("decode", flags.bench.decode_tokens, r.decode_tokens_per_s, r.decode_gb_per_s,
      r.read_gb_per_s, "GB/s");
  Emit(table.ToString());
  if (r.ops.empty()) return;
  Table ops({"op", ">nodes", ">prefill ms", ">decode ms"});
  for (const harness::OpTime& op : r.ops) {
    ops.Row({op.op, fmt::format("{}", op.nodes), fmt::format("{:.2f}", op.prefill_ms),
             fmt::format("{:.4f}", op.decode_ms)});
  }
  Emit("\n" + ops.ToString());
}

Result<Exit> BenchModel(const ModelBenchFlags& flags) {
  BK_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadForBench(flags));
  BK_ASSIGN_OR_RETURN(const harness::BenchModelResult result,
                      harness::BenchModel(*engine, flags.bench));
  if (flags.json) {
    PrintJson(ToJson(flags, *engine, result));
  } else {
    Print(flags, *engine, result);
  }
  return Exit::kOk;
}

void AddBenchOps(CLI::App& bench, Action& chosen) {
  auto f = std::make_shared<OpsFlags>();
  Flags flags(bench, "ops", "Time every kernel on the benchmark cases of its op.", kOpsExamples);
  flags.Subject("--op", f->bench.op, "PATTERN", "ops to time, with * and ?")->capture_default_str();
  flags.Subject("--kernel", f->bench.kernel, "PATTERN", "kernels to time")->capture_default_str();
  flags.Subject("--case", f->bench.case_name, "PATTERN", "cases to time")->capture_default_str();
  flags.SubjectSwitch("--dense", f->bench.dense, "every T from 1 to 256 too, for kernels on a GPU");
  flags.Value("--seconds", f->bench.seconds, "SECONDS", "for each case and kernel")
      ->check(CLI::Range(0.001, 3600.0));
  AddThreadsFlag(flags, f->bench.threads);
  AddIsaFlag(flags, f->isa);
  flags.Switch("--json", f->json, "print a JSON object per line");
  flags.app().callback([f, &chosen] { chosen = [f] { return BenchOps(*f); }; });
}

void AddBenchModel(CLI::App& bench, Action& chosen) {
  auto f = std::make_shared<ModelBenchFlags>();
  Flags flags(bench, "model", "Time prefill and decoding of a model, or of one without weights.",
              kModelExamples);
  AddModelFlags(flags, f->model);
  CLI::Option* dummy =
      flags.Subject("--dummy", f->dummy, "FILE",
                    "random weights of the shape of this config.json, made in memory");
  CLI::Option* model = flags.app().get_option("--model");
  dummy->excludes(model);
  // BIRKHOFF_MODEL does not count beside it: the environment is read after the command line.
  dummy->trigger_on_parse()->each([model](const std::string&) { model->envname(""); });
  flags
      .Value("--weights", f->weights, "TYPE",
             "with --dummy: bf16, fp8 (blocks of 128 x 128), or release (fp8, experts MXFP4)")
      ->check(CLI::IsMember({"bf16", "fp8", "release"}));
  const CLI::Range count(std::int64_t{1}, std::int64_t{1} << 40);
  flags.Value("--prompt-tokens", f->bench.prompt_tokens, "TOKENS", "random tokens to prefill")
      ->check(count);
  flags.Value("--decode-tokens", f->bench.decode_tokens, "TOKENS", "tokens to decode after them")
      ->check(count);
  flags
      .Value("--repetitions", f->bench.repetitions, "N",
             "after one run to warm up; the median counts")
      ->check(CLI::Range(1, 1000000));
  flags.Switch("--speculate", f->bench.speculate, "decode with drafts");
  flags.Switch("--profile", f->bench.profile, "also print the time of each op");
  flags.Switch("--json", f->json, "print one JSON object on one line");
  flags.app().callback([f, &chosen] { chosen = [f] { return BenchModel(*f); }; });
}

}  // namespace

void AddBench(CLI::App& app, Action& chosen) {
  CLI::App* bench = app.add_subcommand("bench", "Measure speed against what the machine can do.");
  bench->require_subcommand(0, 1);
  bench->fallthrough();
  AddBenchOps(*bench, chosen);
  AddBenchModel(*bench, chosen);
}

}  // namespace birkhoff::cli
