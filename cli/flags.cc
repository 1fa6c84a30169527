#include "flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "log.h"
#include "progress.h"

namespace birkhoff::cli {

namespace {

std::string EnvironmentName(const std::string& flag) {
  std::string name = "BIRKHOFF_";
  for (char c : flag) {
    name +=
        c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// The tiny model, seen from the folder of the executable: in the source tree around a build folder
// like build/release, and in an installation. Empty when it is in neither.
std::string TinyModel() {
  std::error_code error;
  const std::filesystem::path exe = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const char* place : {"../../../models/tiny-v4", "../share/birkhoff/models/tiny-v4"}) {
    const std::filesystem::path folder = (exe.parent_path() / place).lexically_normal();
    if (std::filesystem::exists(folder / "config.json", error)) return folder.string();
  }
  return "";
}

std::string Indented(const std::string& lines) {
  std::string out = "Examples:\n  ";
  for (char c : lines) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

}  // namespace

Flags::Flags(CLI::App& parent, const std::string& name, const std::string& summary,
             const std::string& examples)
    : app_(parent.add_subcommand(name, summary)) {
  app_->fallthrough();
  app_->footer(Indented(examples));
}

CLI::Option* Flags::Twin(CLI::Option* option) {
  if (!option->get_lnames().empty()) {
    option->envname(EnvironmentName(option->get_lnames().front()));
  }
  return option;
}

void AddModelFlag(Flags& flags, ModelFlags& m) {
  flags.Optional("-m,--model", m.model, "DIR",
                 "folder with config.json, *.safetensors and tokenizer.json "
                 "(default: models/tiny-v4, which comes with Birkhoff)");
}

void AddThreadsFlag(Flags& flags, int& threads) {
  flags.Optional("-t,--threads", threads, "N", "threads (default: every CPU that may be used)")
      ->check(CLI::Range(1, 4096));
}

void AddIsaFlag(Flags& flags, std::string& isa) {
  flags.Value("--isa", isa, "ISA", "use no stronger instruction set: auto, generic, avx2, avx512")
      ->check(CLI::IsMember({"auto", "generic", "avx2", "avx512"}));
}

void AddModelFlags(Flags& flags, ModelFlags& m) {
  AddModelFlag(flags, m);
  flags.Value("--precision", m.precision, "TYPE", "activations: bf16, or f32 for verification")
      ->check(CLI::IsMember({"bf16", "f32"}));
  AddThreadsFlag(flags, m.threads);
  flags
      .Optional("-c,--context", m.context, "TOKENS",
                "longest sequence, in tokens (default: what the model's config says)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  AddIsaFlag(flags, m.isa);
  flags.Switch("--no-draft", m.no_draft, "leave the draft (MTP) layer out of memory");
  flags
      .Value("--fusion", m.fusion, "LEVEL",
             "which ops are fused: O0 none, O1 those that keep every bit, O2, O3")
      ->check(CLI::IsMember({"O0", "O1", "O2", "O3"}));
  flags.Optional("--fusion.enable", m.fusion_enable, "NAMES",
                 "fusions to use whatever the level, with commas between ('birkhoff explain' lists "
                 "them)");
  flags.Optional("--fusion.disable", m.fusion_disable, "NAMES", "fusions to leave out");
  flags.Optional("--fusion.only", m.fusion_only, "NAMES", "fusions to use, and no others");
  flags
      .Mode("--fusion.strict{error}", m.fusion_strict,
            "what a fusion that does not find what the model has is: =off, =warn (default) or "
            "=error")
      ->check(CLI::IsMember({"off", "warn", "error"}));
}

namespace {

std::vector<std::string> Names(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) {
    name.erase(std::remove(name.begin(), name.end(), ' '), name.end());
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

FusionSettings ToFusionSettings(const ModelFlags& m) {
  FusionSettings s;
  s.level = static_cast<FusionLevel>(m.fusion.back() - '0');
  s.enable = Names(m.fusion_enable);
  s.disable = Names(m.fusion_disable);
  s.only = Names(m.fusion_only);
  s.strict = m.fusion_strict == "off"    ? FusionStrict::kOff
             : m.fusion_strict == "warn" ? FusionStrict::kWarn
                                         : FusionStrict::kError;
  return s;
}

}  // namespace

CpuIsa MaxIsa(const std::string& isa) {
  if (isa == "generic") return CpuIsa::kGeneric;
  if (isa == "avx2") return CpuIsa::kAvx2;
  return CpuIsa::kAvx512;
}

Result<std::string> ModelFolder(const ModelFlags& m) {
  std::error_code error;
  if (!m.model.empty()) {
    if (!std::filesystem::exists(m.model, error)) {
      return Status::NotFound(
          fmt::format("--model {}: expected a folder with config.json and *.safetensors, found "
                      "nothing of that name",
                      m.model));
    }
    return m.model;
  }
  std::string folder = TinyModel();
  if (folder.empty()) {
    return Status::InvalidArgument(
        "--model is missing: expected a folder with config.json and *.safetensors; models/tiny-v4, "
        "the default, is neither beside the build folder of this binary nor installed with it");
  }
  Log(LogLevel::kInfo, fmt::format("model: {} (choose another with --model)", folder));
  return folder;
}

EngineOptions ToEngineOptions(const ModelFlags& m, const std::string& folder) {
  EngineOptions options;
  options.model = folder;
  options.precision = m.precision == "f32" ? Precision::kF32 : Precision::kBF16;
  options.threads = m.threads;
  options.context = m.context;
  options.draft = !m.no_draft;
  options.max_isa = MaxIsa(m.isa);
  options.fusion = ToFusionSettings(m);
  return options;
}

Result<std::unique_ptr<Engine>> LoadEngine(const ModelFlags& m) {
  BK_ASSIGN_OR_RETURN(const std::string folder, ModelFolder(m));
  EngineOptions options = ToEngineOptions(m, folder);
  ProgressBar bar;
  options.progress = bar.Callback();
  BK_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Load(options));
  for (const std::string& note : engine->info().notes) Log(LogLevel::kWarn, note);
  return engine;
}

}  // namespace birkhoff::cli
