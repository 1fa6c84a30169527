// birkhoff verify: every kernel against its definition, or a checkpoint against its goldens.
#include "harness/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "birkhoff/device.h"
#include "flags.h"
#include "generation.h"
#include "harness/verify_model.h"
#include "json_out.h"
#include "log.h"
#include "progress.h"
#include "table.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kExamples =
    R"(birkhoff verify                                    every op, kernel and case
birkhoff verify --op 'mhc*' --kernel 'cpu/avx512/*'
birkhoff verify --json --all > report.json
birkhoff verify --model models/tiny-v4             golden outputs, in f32 and in bf16
birkhoff verify --model DIR --golden FILE --precision f32)";

struct VerifyFlags {
  harness::VerifyOptions ops = {};
  ModelFlags model = {};
  std::string golden = {};
  bool all = false;
  bool json = false;
};

Json ToJson(const harness::CaseOutcome& o) {
  Json json = {{"op", o.op}, {"kernel", o.kernel}, {"case", o.case_name}};
  if (!o.refusal.empty()) {
    json["refused"] = o.refusal;
    return json;
  }
  json["ok"] = o.check.ok;
  json["worst"] = JsonFigure(o.check.worst);
  if (!o.check.detail.empty()) json["detail"] = o.check.detail;
  return json;
}

Json ToJson(const harness::KernelOutcome& o) {
  Json json = {{"op", o.op},         {"kernel", o.kernel},   {"cases", o.cases},
               {"failed", o.failed}, {"refused", o.refused}, {"worst", JsonFigure(o.worst)},
               {"ok", o.failed == 0}};
  if (o.refused > 0) json["refusal"] = o.refusal;
  return json;
}

std::string ResultText(const harness::KernelOutcome& o) {
  if (o.cases == 0) return "refused: " + o.refusal;
  std::string text = o.failed == 0 ? "ok" : fmt::format("FAILED {} of {}", o.failed, o.cases);
  if (o.refused > 0) text += fmt::format(" ({} refused: {})", o.refused, o.refusal);
  return text;
}

void PrintOutcomes(const std::vector<harness::KernelOutcome>& outcomes) {
  Table table({"op", "kernel", ">cases", ">worst/bound", "result"});
  for (const harness::KernelOutcome& o : outcomes) {
    table.Row({o.op, o.kernel, fmt::format("{}", o.cases),
               o.cases == 0 ? "-" : fmt::format("{:.3f}", o.worst), ResultText(o)});
  }
  Emit(table.ToString());
}

// What went wrong, and how to run just that again.
std::string Failure(const harness::CaseOutcome& o) {
  return fmt::format("{} {} '{}': {}\n  rerun: birkhoff verify {}", o.op, o.kernel, o.case_name,
                     o.check.detail, harness::RerunFlags(o));
}

Result<Exit> VerifyOps(VerifyFlags flags) {
  flags.ops.device = HostDevice();
  flags.ops.device.isa = std::min(flags.ops.device.isa, MaxIsa(flags.model.isa));
  flags.ops.threads = flags.model.threads;
  ProgressBar bar;
  Json cases = Json::array();
  const auto on_case = [&](const harness::CaseOutcome& o, int done, int total) {
    if (flags.all && flags.json) cases.push_back(ToJson(o));
    if (!o.check.ok && o.refusal.empty()) {
      bar.Clear();
      Log(LogLevel::kError, Failure(o));
    } else if (flags.all && !flags.json) {
      bar.Clear();
      fmt::print("{} {} '{}': {}\n", o.op, o.kernel, o.case_name,
                 o.refusal.empty() ? fmt::format("{:.3f} of the bound", o.check.worst)
                                   : "refused: " + o.refusal);
    }
    bar.Update(o.op, done, total);
  };
  BK_ASSIGN_OR_RETURN(const std::vector<harness::KernelOutcome> outcomes,
                      harness::VerifyOps(flags.ops, on_case));
  bar.Clear();
  const auto failed = std::count_if(outcomes.begin(), outcomes.end(),
                                    [](const harness::KernelOutcome& o) { return o.failed > 0; });
  if (flags.json) {
    Json kernels = Json::array();
    for (const harness::KernelOutcome& o : outcomes) kernels.push_back(ToJson(o));
    Json json = {{"ok", failed == 0}, {"kernels", std::move(kernels)}};
    if (flags.all) json["cases"] = std::move(cases);
    PrintJson(json);
  } else {
    PrintOutcomes(outcomes);
  }
  return failed == 0 ? Exit::kOk : Exit::kCheckFailed;
}

Json ToJson(const harness::GoldenCheck& c) {
  Json json = {{"prompt", c.prompt},
               {"check", c.what},
               {"found", JsonFigure(c.found)},
               {"bound", c.bound},
               {"ok", c.ok}};
  if (!c.note.empty()) json["note"] = c.note;
  return json;
}

// The checks of one precision: added to `json`, and printed as a table unless --json. Returns
// whether all hold.
Result<bool> VerifyPrecision(const VerifyFlags& flags, const std::string& folder,
                             const std::string& precision, Json& json) {
  ModelFlags model = flags.model;
  model.precision = precision;
  ProgressBar bar;
  EngineOptions options = ToEngineOptions(model, folder);
  options.progress = bar.Callback();
  const std::string golden = flags.golden.empty() ? folder + "/golden.safetensors" : flags.golden;
  BK_ASSIGN_OR_RETURN(const std::vector<harness::GoldenCheck> checks,
                      harness::VerifyModel(options, golden));
  bar.Clear();
  Table table({"prompt", fmt::format("check ({})", precision), ">found", ">bound", "result"});
  Json list = Json::array();
  bool ok = true;
  for (const harness::GoldenCheck& c : checks) {
    ok = ok && c.ok;
    list.push_back(ToJson(c));
    table.Row({c.prompt, c.what, fmt::format("{:.3g}", c.found), fmt::format("{:.3g}", c.bound),
               (c.ok ? "ok" : "FAILED") + (c.note.empty() ? "" : ": " + c.note)});
  }
  json[precision] = std::move(list);
  if (!flags.json) Emit(table.ToString() + "\n");
  return ok;
}

Result<Exit> VerifyModel(const VerifyFlags& flags, bool both) {
  BK_ASSIGN_OR_RETURN(const std::string folder, ModelFolder(flags.model));
  Json json;
  bool ok = true;
  for (const char* precision : {"f32", "bf16"}) {
    if (!both && flags.model.precision != precision) continue;
    BK_ASSIGN_OR_RETURN(const bool passed, VerifyPrecision(flags, folder, precision, json));
    ok = ok && passed;
  }
  json["ok"] = ok;
  if (flags.json) PrintJson(json);
  return ok ? Exit::kOk : Exit::kCheckFailed;
}

}  // namespace

void AddVerify(CLI::App& app, Action& chosen) {
  auto f = std::make_shared<VerifyFlags>();
  Flags flags(app, "verify",
              "Hold kernels against their definitions, or a checkpoint against goldens.",
              kExamples);
  flags.Subject("--op", f->ops.op, "PATTERN", "ops to verify, with * and ?")->capture_default_str();
  flags.Subject("--kernel", f->ops.kernel, "PATTERN", "kernels to verify")->capture_default_str();
  flags.Subject("--case", f->ops.case_name, "PATTERN", "cases to run")->capture_default_str();
  flags.Switch("--all", f->all, "list every case, not only the kernels");
  AddThreadsFlag(flags, f->model.threads);
  AddIsaFlag(flags, f->model.isa);
  CLI::Option* model = flags.Subject("-m,--model", f->model.model, "DIR",
                                     "verify this checkpoint instead of the kernels");
  CLI::Option* golden =
      flags.Subject("--golden", f->golden, "FILE",
                    "golden outputs (default: golden.safetensors in the model's folder)");
  CLI::Option* precision = flags
                               .Optional("--precision", f->model.precision, "TYPE",
                                         "with --model: bf16 or f32 (default: both)")
                               ->check(CLI::IsMember({"bf16", "f32"}));
  flags.Switch("--json", f->json, "print one JSON object");
  flags.app().callback([=, &chosen] {
    const bool checkpoint = model->count() + golden->count() > 0;
    const bool both = precision->count() == 0;
    chosen = [f, checkpoint, both] { return checkpoint ? VerifyModel(*f, both) : VerifyOps(*f); };
  });
}

}  // namespace birkhoff::cli
