// birkhoff: one binary, one file per subcommand.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "command.h"
#include "help.h"
#include "log.h"
#include "version.h"

namespace birkhoff::cli {

namespace {

constexpr const char* kSummary =
    "Birkhoff runs DeepSeek-V4-class models from their release checkpoints.";

constexpr const char* kFooter = R"(Examples:
  birkhoff run --prompt "The command ls"
  birkhoff run --model /models/DeepSeek-V4-Flash
  birkhoff verify
  birkhoff <subcommand> --help

Settings have environment twins: --max-tokens is BIRKHOFF_MAX_TOKENS, --log-level BIRKHOFF_LOG.
Exit codes: 0 done; 1 a check failed; 2 bad flags, files or ids; 3 internal error or lost output.)";

LogLevel ParseLogLevel(const std::string& name) {
  if (name == "error") return LogLevel::kError;
  if (name == "warn") return LogLevel::kWarn;
  return name == "debug" ? LogLevel::kDebug : LogLevel::kInfo;
}

// The innermost subcommand on the command line, for "see ... --help".
std::string CommandLineSoFar(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* sub : app.get_subcommands()) name += " " + CommandLineSoFar(*sub);
  return name;
}

int Fail(const Status& status) {
  Log(LogLevel::kError, status.message());
  return static_cast<int>(ExitFor(status.code()));
}

// What was printed must have arrived: a full disk makes an error, not a short result.
int Finish(int code) {
  std::cout.flush();  // --help and --version
  const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout;
  if (!lost) return code;
  Log(LogLevel::kError, "stdout: could not write all of the output");
  return static_cast<int>(Exit::kInternal);
}

int Main(int argc, char** argv) {
  CLI::App app(kSummary, "birkhoff");
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("birkhoff ") + kVersion + " (" + kCommit + ")",
                       "print the version and exit");
  app.require_subcommand(0, 1);  // none is refused below: a misspelt one is then named

  std::string log_level = "info";
  app.add_option("--log-level", log_level, "what stderr tells: error, warn, info or debug")
      ->type_name("LEVEL")
      ->capture_default_str()
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->envname("BIRKHOFF_LOG");

  Action chosen;
  AddRun(app, chosen);
  AddScore(app, chosen);
  AddPerplexity(app, chosen);
  AddTokenize(app, chosen);
  AddInspect(app, chosen);
  AddExplain(app, chosen);
  AddVerify(app, chosen);
  AddBench(app, chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return Finish(app.exit(asked));
  } catch (const CLI::ParseError& error) {
    return Fail(Status::InvalidArgument(std::string(error.what()) + " (see '" +
                                        CommandLineSoFar(app) + " --help')"));
  }
  if (!chosen) {
    return Fail(Status::InvalidArgument("expected a subcommand, found none (see '" +
                                        CommandLineSoFar(app) + " --help')"));
  }
  SetLogLimit(ParseLogLevel(log_level));
  const Result<Exit> exit = chosen();
  if (!exit.ok()) return Fail(exit.status());
  return Finish(static_cast<int>(*exit));
}

}  // namespace

Exit ExitFor(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return Exit::kOk;
    case StatusCode::kInternal: return Exit::kInternal;
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kOutOfRange:
    case StatusCode::kUnsupported:
    case StatusCode::kIoError: return Exit::kBadInput;
  }
  return Exit::kInternal;
}

}  // namespace birkhoff::cli

int main(int argc, char** argv) {
  try {
    return birkhoff::cli::Main(argc, argv);
  } catch (const std::exception& error) {  // out of memory, mostly
    birkhoff::cli::Log(birkhoff::cli::LogLevel::kError, error.what());
    return static_cast<int>(birkhoff::cli::Exit::kInternal);
  }
}
