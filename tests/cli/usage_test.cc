// What every subcommand promises: help, errors in one line, exit codes, environment twins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>

#include "birkhoff.h"

namespace birkhoff::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

void ExpectOneLineError(const Outcome& o, const std::string& part) {
  EXPECT_EQ(o.exit_code, 2) << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_THAT(o.err, StartsWith("birkhoff: error: "));
  EXPECT_THAT(o.err, HasSubstr(part));
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
}

class Help : public testing::TestWithParam<const char*> {};

TEST_P(Help, TeachesWithExamplesAndFitsAPage) {
  const Outcome o = Birkhoff(std::string(GetParam()) + " --help");
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_EQ(o.err, "");
  EXPECT_THAT(o.out, HasSubstr("Examples:\n  birkhoff " + std::string(GetParam())));
  std::istringstream lines(o.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

INSTANTIATE_TEST_SUITE_P(Subcommands, Help,
                         testing::Values("run", "score", "perplexity", "tokenize", "inspect",
                                         "explain", "verify", "bench ops", "bench model"));

TEST(Usage, MainHelpListsExitCodes) {
  const Outcome o = Birkhoff("--help");
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_THAT(o.out, HasSubstr("Exit codes: 0 done; 1 a check failed; 2 bad flags"));
}

TEST(Usage, VersionIsPrinted) {
  const Outcome o = Birkhoff("--version");
  EXPECT_EQ(o.exit_code, 0);
  EXPECT_THAT(o.out, StartsWith("birkhoff "));
}

TEST(Usage, BadFlagsAreOneLineAndPointToHelp) {
  ExpectOneLineError(Birkhoff(""), "birkhoff --help");
  ExpectOneLineError(Birkhoff("bench"), "birkhoff bench --help");
  ExpectOneLineError(Birkhoff("frobnicate"), "frobnicate");
  ExpectOneLineError(Birkhoff("score --idz 1"), "birkhoff score --help");
  ExpectOneLineError(Birkhoff("bench ops --seconds -3"), "birkhoff bench ops --help");
  ExpectOneLineError(Birkhoff("run --precision f16"), "bf16");
  ExpectOneLineError(Birkhoff("run --threads many"), "many");
}

TEST(Usage, MissingModelsAreNamed) {
  ExpectOneLineError(Birkhoff("score --ids 1 --model /no/such"), "/no/such");
  ExpectOneLineError(Birkhoff("inspect --model /"), "/");
  ExpectOneLineError(Birkhoff("tokenize --text x --model /no/such"), "/no/such");
  ExpectOneLineError(Birkhoff("verify --model " BIRKHOFF_SOURCE_DIR
                              "/models/tiny-v4 --golden /no/such --log-level error"),
                     "/no/such");
  ExpectOneLineError(Birkhoff("bench model --dummy /no/such"), "/no/such");
}

// The exit code of a command line of the shell, which says nothing.
int ExitCode(const std::string& command) {
  const int status = std::system((command + " </dev/null 2>/dev/null").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Usage, LostOutputIsAnError) {
  const std::string model = " --model " BIRKHOFF_SOURCE_DIR "/models/tiny-v4";
  EXPECT_EQ(ExitCode(BIRKHOFF_BINARY " --version >/dev/full"), 3);
  for (const char* command : {"tokenize --text Hello", "inspect --json",
                              "run --prompt Hello --max-tokens 2 --no-stats"}) {
    const std::string all = std::string(BIRKHOFF_BINARY " ") + command + model;
    EXPECT_EQ(ExitCode(all + " >/dev/full"), 3) << command;
    EXPECT_EQ(ExitCode(all + " >/dev/null"), 0) << command;
  }
}

TEST(Usage, FindsTheTinyModelBesideTheBinary) {
  namespace fs = std::filesystem;
  const fs::path root = testing::TempDir() + "birkhoff_installed";
  for (const auto& [bin, models] : {std::pair("build/dev/cli", "models"),
                                    std::pair("prefix/bin", "prefix/share/birkhoff/models")}) {
    fs::remove_all(root);
    fs::create_directories(root / bin);
    fs::copy_file(BIRKHOFF_BINARY, root / bin / "birkhoff");
    const std::string command = "env -u BIRKHOFF_MODEL " + (root / bin / "birkhoff").string() +
                                " tokenize --text Hello >/dev/null";
    EXPECT_EQ(ExitCode(command), 2) << bin;
    fs::create_directories(root / models);
    fs::create_directory_symlink(BIRKHOFF_SOURCE_DIR "/models/tiny-v4", root / models / "tiny-v4");
    EXPECT_EQ(ExitCode(command), 0) << bin;
  }
  fs::remove_all(root);
}

TEST(Usage, InputsAndSelectionsHaveNoTwins) {
  const std::string all =
      "BIRKHOFF_PROMPT=x BIRKHOFF_TEXT=x BIRKHOFF_FILE=/no/such BIRKHOFF_IDS=1 BIRKHOFF_OP=none "
      "BIRKHOFF_IDS_FILE=/no/such BIRKHOFF_MESSAGES=/no/such BIRKHOFF_CHAT=1 BIRKHOFF_CASE=none "
      "BIRKHOFF_KERNEL=none BIRKHOFF_GOLDEN=/no/such BIRKHOFF_TENSORS=none BIRKHOFF_THINKING=1";
  for (const char* command : {"tokenize --text Hello", "tokenize --ids 7,8",
                              "inspect --tensors 'layers.0.attn_norm*'", "explain rms_norm"}) {
    const Outcome plain = Birkhoff(command);
    EXPECT_EQ(plain.exit_code, 0) << plain.err;
    EXPECT_EQ(Birkhoff(command, "", all).out, plain.out) << command;
  }
  EXPECT_EQ(Birkhoff("verify --op rms_norm", "", all).exit_code, 0);
}

TEST(Usage, SettingsHaveEnvironmentTwinsAndTheCommandLineWins) {
  const std::string command = "tokenize --text Hello";
  const Outcome plain = Birkhoff(command);
  EXPECT_EQ(Birkhoff(command, "", "BIRKHOFF_JSON=1").json()["text"], "Hello");
  ExpectOneLineError(Birkhoff(command, "", "BIRKHOFF_MODEL=/no/such"), "/no/such");
  EXPECT_EQ(Birkhoff(command + " --model " BIRKHOFF_SOURCE_DIR "/models/tiny-v4", "",
                     "BIRKHOFF_MODEL=/no/such")
                .out,
            plain.out);
}

TEST(Usage, LogLevelSilencesInformation) {
  const std::string run = "run --prompt Hello --max-tokens 1";
  EXPECT_NE(Birkhoff(run).err, "");
  EXPECT_EQ(Birkhoff(run + " --log-level error").err, "");
  EXPECT_EQ(Birkhoff("--log-level error " + run).err, "");
  EXPECT_EQ(Birkhoff(run, "", "BIRKHOFF_LOG=error").err, "");
}

}  // namespace
}  // namespace birkhoff::cli
