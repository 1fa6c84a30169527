// Flags as every subcommand writes them: one line each, an environment twin for every setting, and
// the model flags that most of them share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "birkhoff/engine.h"
#include "command.h"

namespace birkhoff::cli {

// Registers flags of one subcommand. A setting like "--max-tokens" can also be given as
// BIRKHOFF_MAX_TOKENS; the command line wins. What a single call works on has no such twin.
class Flags {
 public:
  // `summary` is one sentence; `examples` are command lines, one per line.
  Flags(CLI::App& parent, const std::string& name, const std::string& summary,
        const std::string& examples);

  // A flag with a value. `unit` stands for the value in --help: "N", "DIR", "SECONDS".
  template <class T>
  CLI::Option* Value(const std::string& names, T& value, const std::string& unit,
                     const std::string& text) {
    return Twin(app_->add_option(names, value, text)->type_name(unit)->capture_default_str());
  }

  // A flag whose empty or zero default is explained by its text instead.
  template <class T>
  CLI::Option* Optional(const std::string& names, T& value, const std::string& unit,
                        const std::string& text) {
    return Twin(app_->add_option(names, value, text)->type_name(unit));
  }

  // What this call works on: an input, or a selection of ops, cases or tensors. No twin: left
  // in the environment, it would exclude another input, or narrow what a later call does.
  template <class T>
  CLI::Option* Subject(const std::string& names, T& value, const std::string& unit,
                       const std::string& text) {
    return app_->add_option(names, value, text)->type_name(unit);
  }

  CLI::Option* Switch(const std::string& names, bool& value, const std::string& text) {
    return Twin(app_->add_flag(names, value, text));
  }

  // A setting that may stand alone, for the value in braces: "--strict{error}".
  CLI::Option* Mode(const std::string& names, std::string& value, const std::string& text) {
    return Twin(app_->add_flag(names, value, text));
  }

  CLI::Option* SubjectSwitch(const std::string& names, bool& value, const std::string& text) {
    return app_->add_flag(names, value, text);
  }

  CLI::App& app() { return *app_; }

 private:
  CLI::Option* Twin(CLI::Option* option);

  CLI::App* app_ = nullptr;
};

// Which model, and how it runs.
struct ModelFlags {
  std::string model = {};
  std::string precision = "bf16";
  int threads = 0;
  std::int64_t context = 0;
  std::string isa = "auto";
  bool no_draft = false;
  std::string fusion = "O2";
  std::string fusion_enable = {};  // names with commas between
  std::string fusion_disable = {};
  std::string fusion_only = {};
  std::string fusion_strict = "warn";
};

void AddModelFlag(Flags& flags, ModelFlags& m);  // --model alone
void AddModelFlags(Flags& flags, ModelFlags& m);
void AddThreadsFlag(Flags& flags, int& threads);
void AddIsaFlag(Flags& flags, std::string& isa);

// The strongest instruction set that --isa allows.
CpuIsa MaxIsa(const std::string& isa);

// The folder that --model names. Without the flag: models/tiny-v4 of the source tree that holds the
// build folder of this binary, or share/birkhoff/models/tiny-v4 of its installation.
Result<std::string> ModelFolder(const ModelFlags& m);

EngineOptions ToEngineOptions(const ModelFlags& m, const std::string& folder);

// Loads with a progress bar; logs what of the checkpoint is not used.
Result<std::unique_ptr<Engine>> LoadEngine(const ModelFlags& m);

}  // namespace birkhoff::cli
