// The safetensors format: 8 bytes of header length (little endian), a JSON header, then the
// tensors' bytes.
//
// The reader takes what the reference reader takes, within Shape::kMaxRank, and refuses everything
// else with the file, the tensor, what was expected and what came. It trusts nothing: all sizes are
// computed with overflow checks, and every byte of the data belongs to exactly one tensor.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "birkhoff/status.h"
#include "birkhoff/tensor.h"

namespace birkhoff::io {

inline constexpr std::size_t kMaxSafetensorsHeader = 100'000'000;  // bytes, as the reference reader

struct TensorEntry {
  std::string name = {};
  std::string dtype_name = {};      // as written: "F8_E4M3", "BOOL"
  std::optional<DType> dtype = {};  // empty: in the format, but Birkhoff has no type for it
  Shape shape = {};
  std::size_t begin = 0;  // [begin, end) of the file
  std::size_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors = {};  // by position in the file
  std::map<std::string, std::string> metadata = {};
};

// Reads the header of a whole file in memory; of the tensors' bytes only the number is used.
//
// Errors   kInvalidArgument  the file is malformed; the message starts with `where`
Result<SafetensorsHeader> ParseSafetensors(std::span<const std::byte> file, std::string_view where);

class SafetensorsFile {
 public:
  // Errors   those of MappedFile::Open and ParseSafetensors.
  static Result<SafetensorsFile> Open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<TensorEntry>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  // The view points into the mapping: valid as long as this object, also after a move.
  //
  // Errors   kNotFound     no such tensor
  //          kUnsupported  its dtype is one of the format that Birkhoff has no type for
  Result<ConstTensorView> Find(std::string_view name) const;

  void Prefetch() const { file_.Prefetch(); }
  Status CheckSize() const { return file_.CheckSize(); }

 private:
  MappedFile file_ = {};
  SafetensorsHeader header_ = {};
  std::map<std::string, std::size_t, std::less<>> index_ = {};  // name to place in header_.tensors
};

}  // namespace birkhoff::io
