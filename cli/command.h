// What a subcommand is: flags that it registers, and an action that runs when it was chosen.
#pragma once

#include <functional>

#include "birkhoff/status.h"

namespace CLI {
class App;
}

namespace birkhoff::cli {

// Exit codes of the process, documented in --help and docs/cli.md.
enum class Exit : int {
  kOk = 0,
  kCheckFailed = 1,  // the answer is no: a kernel or a checkpoint is out of its bound
  kBadInput = 2,     // flags, files, ids, or something that this machine cannot run
  kInternal = 3,     // a bug of Birkhoff, no memory, or output that could not be written
};

Exit ExitFor(StatusCode code);

// An error ends up as one line on stderr and as the exit code of its status.
using Action = std::function<Result<Exit>()>;

// Each adds its subcommand to `app`. Parsing the subcommand stores its action in `chosen`.
void AddBench(CLI::App& app, Action& chosen);
void AddExplain(CLI::App& app, Action& chosen);
void AddInspect(CLI::App& app, Action& chosen);
void AddPerplexity(CLI::App& app, Action& chosen);
void AddRun(CLI::App& app, Action& chosen);
void AddScore(CLI::App& app, Action& chosen);
void AddTokenize(CLI::App& app, Action& chosen);
void AddVerify(CLI::App& app, Action& chosen);

}  // namespace birkhoff::cli
