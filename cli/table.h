// Columns for people: as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace birkhoff::cli {

class Table {
 public:
  // A heading per column; those that start with '>' are set to the right.
  explicit Table(std::vector<std::string> headings);

  void Row(std::vector<std::string> cells);
  std::string ToString() const;  // the last column is never padded

 private:
  std::vector<bool> right_ = {};
  std::vector<std::vector<std::string>> rows_ = {};  // headings first
};

// "1.50 GiB", "22.1 MiB", "96 B".
std::string Bytes(double count);

}  // namespace birkhoff::cli
