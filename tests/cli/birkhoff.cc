#include "birkhoff.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace birkhoff::cli {

namespace {

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

nlohmann::json Outcome::json() const {
  nlohmann::json value = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << "not JSON: " << out << err;
  return value;
}

std::string WriteTemporary(const std::string& name, const std::string& content) {
  // Tests run side by side: a process has its own names.
  const std::string path =
      testing::TempDir() + "birkhoff_cli_" + std::to_string(getpid()) + "_" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

Outcome Birkhoff(const std::string& arguments, const std::string& input,
                 const std::string& before) {
  const std::string in = WriteTemporary("in", input);
  const std::string out = WriteTemporary("out", "");
  const std::string err = WriteTemporary("err", "");
  // Of the source tree, wherever the build folder is.
  setenv("BIRKHOFF_MODEL", BIRKHOFF_SOURCE_DIR "/models/tiny-v4", /*overwrite=*/1);
  const std::string command =
      before + " " BIRKHOFF_BINARY " " + arguments + " <" + in + " >" + out + " 2>" + err;
  const int status = std::system(command.c_str());
  Outcome outcome = {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                     .out = ReadFile(out),
                     .err = ReadFile(err)};
  for (const std::string& path : {in, out, err}) unlink(path.c_str());
  return outcome;
}

}  // namespace birkhoff::cli
