// Runs the binary as a user would and looks at what comes out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace birkhoff::cli {

struct Outcome {
  int exit_code = -1;
  std::string out = {};
  std::string err = {};

  nlohmann::json json() const;  // stdout, which must be one JSON value
};

// Runs "birkhoff <arguments>" with `input` at its stdin, which is never a terminal. `before` stands
// in front of the command: "VARIABLE=value", or another program that runs it.
Outcome Birkhoff(const std::string& arguments, const std::string& input = "",
                 const std::string& before = "");

// Writes a file of the test's own and returns its path.
std::string WriteTemporary(const std::string& name, const std::string& content);

}  // namespace birkhoff::cli
