// How --help looks: unit and default of every flag, wrapped to the width of a page.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace birkhoff::cli {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(kNames); }

  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;

 private:
  static constexpr std::size_t kNames = 28;  // columns of flag names
  static constexpr std::size_t kText = 70;   // columns of text beside them
};

}  // namespace birkhoff::cli
